"""Counts of outputs: how many dates of a processor have rows, or may have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, and_, between, func, literal, or_, select, text

from backfilld.state.rules.needs_graph import Span
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.schema import HAS_OUTPUT, checks, dates
from backfilld.state.store.sql_helpers import chunked

_IS_OUTPUT = (checks.c.verdict != Verdict.NOT_EXPECTED.value, text(f"({HAS_OUTPUT})"))
_OF_OUTPUTS = select(func.count()).select_from(checks).where(*_IS_OUTPUT)
_DATES_OF_OUTPUTS = select(checks.c.date).join(dates, dates.c.date == checks.c.date).where(*_IS_OUTPUT)


def count_outputs(tx: Connection, spans: Mapping[str, Sequence[Span]]) -> dict[str, int]:
    """By processor: on how many dates of its spans, which do not overlap, it has output or may have."""
    return {name: sum(_count(tx, name, chunk) for chunk in chunked(of_one)) for name, of_one in spans.items()}


def dates_with_outputs(tx: Connection, spans: Mapping[str, Sequence[Span]], state: str) -> set[dt.date]:
    """The dates in a state on which a processor has output, or may have, in one of its spans."""
    found: set[dt.date] = set()
    for name, of_one in spans.items():
        for chunk in chunked(of_one):
            here = and_(checks.c.processor == name, _in_spans(chunk), dates.c.state == state)
            found |= set(tx.execute(_DATES_OF_OUTPUTS.where(here)).scalars())
    return found


def _in_spans(spans: Sequence[Span]) -> ColumnElement[bool]:
    return or_(*(between(checks.c.date, literal(span.first), literal(span.last)) for span in spans))


def _count(tx: Connection, processor: str, spans: Sequence[Span]) -> int:
    here = and_(checks.c.processor == processor, _in_spans(spans))
    return tx.execute(_OF_OUTPUTS.where(here)).scalar_one()
