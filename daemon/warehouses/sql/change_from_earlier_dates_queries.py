"""The query of `expect.change`: measures of dates, and of the days that they are compared with. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlglot import exp

from backfilld.daemon.warehouses.adapter import QueryError, Wanted
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.date_predicates import DateFilter, DateRange
from backfilld.daemon.warehouses.sql.evidence_queries import (
    CACHED,
    Select,
    Statement,
    answer_columns,
    by_date,
    dates_of,
    joined,
    table_of,
)
from backfilld.daemon.warehouses.sql.fragment_embedding import bracketed
from backfilld.daemon.warehouses.sql.rule_query import RuleQuery
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.change import Change
from backfilld.state.rules.expectations.earlier_dates import window

_SEPARATOR = ";"
"""Between the measures of an answer, which are texts of numbers: NaN and infinity are some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureQuery(RuleQuery):
    """The measures of dates. `dates` are the judged ones and the days that they are compared with."""

    change: Change

    @property
    def key(self) -> str:
        """The rule's key in the pipeline file."""
        return "expect.change"

    def selects(self, dates: DateFilter) -> Iterator[Select]:
        """One SELECT; its parameters are added to `dates`."""
        statement = _statement(self.name, self.processor.table, self.change.measures, self.date_range(dates))
        yield Select(statement=statement, partitions=(self.partitions,))

    def added_to(self, evidence: Evidence, date: dt.date, rows: Mapping[dt.date, Row]) -> Evidence:
        """The evidence with the measures of a date and of the days before.

        Raises:
            QueryError: the answer cannot be read.
        """
        if date not in rows:
            return evidence  # the rows came after the measures were taken
        days = _days_before(date, self.change.days_compared())
        before = {day: self._measures(rows[day]) for day in days if day in rows and day < date}
        return replace(evidence, measures=self._measures(rows[date]), measures_before=before)

    def _measures(self, row: Row) -> Mapping[str, float | None]:
        texts = str(row["text"]).split(_SEPARATOR)
        try:
            values = [float(text) if text else None for text in texts]
            return dict(zip(self.change.measures, values, strict=True))
        except ValueError as error:
            raise QueryError(f"its answer has {row['text']!r} where measures belong") from error


def measure_queries(processors: Mapping[str, Processor], wanted: Wanted) -> Iterator[MeasureQuery]:
    """One query for each wanted processor that states a change."""
    for processor, judged in dates_of(processors, wanted):
        if change := processor.expect.change:
            days = {day for date in judged for day in _days_before(date, change.days_compared())}
            yield MeasureQuery(
                processor=processor, dates=tuple(sorted({*judged, *days})), judged=judged, change=change
            )


def _days_before(date: dt.date, days_back: int) -> Iterator[dt.date]:
    return dates_between(*window(date, days_back))


@lru_cache(maxsize=CACHED)
def _statement(name: str, table: str, measures: tuple[str, ...], dates: DateRange) -> Statement:
    texts = joined(map(_text, measures), _SEPARATOR)
    tree = answer_columns(name, dates.column.date, text=texts).from_(table_of(table)).where(dates.predicate)
    return Statement(by_date(tree))


def _text(measure: str) -> exp.Expr:
    number = exp.cast(bracketed(measure), "DOUBLE")
    return exp.func("COALESCE", exp.cast(number, "TEXT"), exp.Literal.string(""))
