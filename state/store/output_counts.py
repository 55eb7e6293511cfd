"""Counts of outputs: how many dates of a processor have rows, or may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, and_, between, func, literal, or_, select, text

from backfilld.state.rules.needs_graph import Span
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.schema import HAS_OUTPUT, checks
from backfilld.state.store.statements import chunked

_OF_OUTPUTS = (
    select(func.count())
    .select_from(checks)
    .where(checks.c.verdict != Verdict.NOT_EXPECTED.value, text(f"({HAS_OUTPUT})"))
)


def count_outputs(tx: Connection, spans: Mapping[str, Sequence[Span]]) -> dict[str, int]:
    """By processor: on how many dates of its spans, which do not overlap, it has output or may have."""
    return {name: sum(_count(tx, name, chunk) for chunk in chunked(of_one)) for name, of_one in spans.items()}


def _count(tx: Connection, processor: str, spans: Sequence[Span]) -> int:
    in_spans = or_(*(between(checks.c.date, literal(span.first), literal(span.last)) for span in spans))
    return tx.execute(_OF_OUTPUTS.where(and_(checks.c.processor == processor, in_spans))).scalar_one()
