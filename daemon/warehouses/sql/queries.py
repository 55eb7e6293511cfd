"""The questions that the warehouse is asked, as SQL in BigQuery's dialect. Pure.

Dates are always query parameters and never part of the text, so that one text serves every date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.expectations.aggregates import Aggregate, DistinctValues, EmptyValues, PassingRows

Param = dt.date | tuple[dt.date, ...] | tuple[str, ...]
"""A query parameter: DATE, ARRAY<DATE> or ARRAY<STRING>."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFilter:
    """The partitions of a table that a branch reads."""

    table: str
    column: str
    dates: tuple[dt.date, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """One SELECT. `slice` is None where nobody but the SQL itself knows what it reads."""

    sql: str
    slice: PartitionFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query: the UNION ALL of its branches, with their parameters."""

    branches: tuple[Select, ...]
    params: Mapping[str, Param]

    @property
    def sql(self) -> str:
        """The whole text."""
        return "\nUNION ALL\n".join(branch.sql for branch in self.branches)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuery:
    """What one processor's table is asked.

    `bare` counts the rows and nothing else: for a table that others are measured against, and that
    nobody wants to judge.
    """

    processor: Processor
    dates: tuple[dt.date, ...]
    bare: bool = False

    @property
    def name(self) -> str:
        """The processor's name."""
        return self.processor.name

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The figures that are counted, in the answer's order."""
        return () if self.bare else self.processor.expect.aggregates


def table_queries(
    processors: Mapping[str, Processor], wanted: Mapping[str, Collection[dt.date]]
) -> list[TableQuery]:
    """One probe per table to ask: the wanted processors', and those that they are measured against."""
    dates = {name: set(days) for name, days in wanted.items() if days}
    for name, days in wanted.items():
        ratio = processors[name].expect.ratio
        if ratio and days:
            dates.setdefault(ratio.of, set()).update(days)
    return [
        TableQuery(processor=processors[name], dates=tuple(sorted(days)), bare=not wanted.get(name))
        for name, days in dates.items()
    ]


def evidence(asked: Iterable[TableQuery]) -> Query:
    """One query over the tables of all probes: a row per (processor, date) that has rows."""
    spans = DateFilter()
    branches = [_branch(probe, spans) for probe in asked]
    return Query(branches=tuple(branches), params=spans.params)


_BRANCH = (
    "SELECT '{processor}' AS processor, {date} AS date, COUNT(*) AS n, [{figures}] AS figures"
    " FROM {table} WHERE {where} GROUP BY 2"
)


def _branch(probe: TableQuery, spans: DateFilter) -> Select:
    processor = probe.processor
    sql = _BRANCH.format(
        processor=processor.name,
        table=quoted(processor.table),
        date=quoted(processor.date_column),
        figures=", ".join(map(_figure, probe.aggregates)),
        where=spans.predicate(processor.date_column, probe.dates),
    )
    part = PartitionFilter(table=processor.table, column=processor.date_column, dates=probe.dates)
    return Select(sql=sql, slice=part)


def _figure(aggregate: Aggregate) -> str:
    match aggregate:
        case DistinctValues(column):
            return f"COUNT(DISTINCT {quoted(column)})"
        case PassingRows(where):
            # Lines of its own: a comment at the predicate's end must not swallow the bracket.
            return f"COUNTIF(\n{where}\n)"
        case EmptyValues(column):
            # Whatever the column's type: `x = 0` is an error on a string.
            name = quoted(column)
            return f"COUNTIF({name} IS NULL OR SAFE_CAST(CAST({name} AS STRING) AS FLOAT64) = 0)"


def quoted(name: str) -> str:
    """An identifier or a table's path in backticks; the pipeline file lets neither carry one."""
    return f"`{name}`"


@dataclass(slots=True)
class DateFilter:
    """The partition predicates of a question, and their parameters: one set per distinct set of dates."""

    params: dict[str, Param] = field(default_factory=dict)
    _numbers: dict[tuple[dt.date, ...], int] = field(default_factory=dict)

    def predicate(self, column: str, dates: tuple[dt.date, ...]) -> str:
        """Lets through no partition before the first date or after the last.

        Of dates that are few and far apart it names each, so that the gaps are not paid for.
        """
        number = self._numbers.setdefault(dates, len(self._numbers))
        self.params |= {f"start{number}": dates[0], f"end{number}": dates[-1]}
        between = f"{quoted(column)} BETWEEN @start{number} AND @end{number}"
        if not _sparse(dates):
            return between
        self.params[f"dates{number}"] = dates
        return f"{between} AND {quoted(column)} IN UNNEST(@dates{number})"


def _sparse(dates: Sequence[dt.date]) -> bool:
    """Whether less than half of the days between the first and the last date are asked about."""
    return 2 * len(dates) < (dates[-1] - dates[0]).days + 1
