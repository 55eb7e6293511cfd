"""The query of `expect.keys`: the keys of each date's rows against those of another table. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlglot import exp

from backfilld.daemon.warehouses.adapter import QueryError, Wanted
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.date_predicates import DateColumn, DateFilter, DateRange
from backfilld.daemon.warehouses.sql.evidence_queries import (
    CACHED,
    PartitionFilter,
    Select,
    Statement,
    answer_columns,
    by_date,
    count_where,
    dates_of,
    joined,
    key_of,
    table_of,
)
from backfilld.daemon.warehouses.sql.fragment_embedding import bracketed
from backfilld.daemon.warehouses.sql.rule_query import RuleQuery, whole
from backfilld.state.formatting import strip_unstorable
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import KeyCounts
from backfilld.state.rules.expectations.keys import Keys

_EXAMPLE_LENGTH = 80
"""Characters of an example that are kept."""
_SEPARATOR = "\t"
"""Between the two examples of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyQuery(RuleQuery):
    """The keys of dates, with one key as an example of those that are missing, and of those that are extra.

    `source` is the processor whose output has the keys; None for another table. `source_dates` is the date
    column there; None where each key belongs to every date.
    """

    keys: Keys
    source: Processor | None
    source_dates: DateColumn | None

    @property
    def key(self) -> str:
        """The rule's key in the pipeline file."""
        return "expect.keys"

    def with_columns(self, column_of: Callable[[Processor], DateColumn]) -> KeyQuery:
        """The query with the types of its date columns."""
        dates = column_of(self.source) if self.source else self.source_dates
        return replace(self, date_column=column_of(self.processor), source_dates=dates)

    def selects(self, dates: DateFilter) -> Iterator[Select]:
        """One SELECT of both tables; its parameters are added to `dates`."""
        table = self.source.table if self.source else self.keys.table or ""
        source = self.source_dates
        statement = _statement(
            self.name,
            self.processor.table,
            self.date_range(dates),
            table,
            dates.add(self.dates, source) if source else None,
            self.keys,
        )
        part = PartitionFilter(table=table, column=source.name if source else None, dates=self.dates)
        yield Select(statement=statement, partitions=(self.partitions, part))

    def added_to(self, evidence: Evidence, date: dt.date, rows: Mapping[dt.date, Row]) -> Evidence:
        """The evidence with the keys of a date: none are expected where the other table has none.

        Raises:
            QueryError: the answer cannot be read.
        """
        row = rows.get(date)
        if row is None:
            return replace(evidence, keys=KeyCounts(expected=0, missing=0, extra=0))
        figures = [whole(figure) for figure in row["figures"] or ()]
        if len(figures) != 3:
            raise QueryError(f"its answer has {len(figures)} figures of keys")
        missing_key, _, extra_key = strip_unstorable(str(row["text"] or "")).partition(_SEPARATOR)
        expected, missing, extra = figures
        counts = KeyCounts(
            expected=expected, missing=missing, extra=extra, missing_key=missing_key, extra_key=extra_key
        )
        return replace(evidence, keys=counts)


def key_queries(processors: Mapping[str, Processor], wanted: Wanted) -> Iterator[KeyQuery]:
    """One query for each wanted processor that states keys."""
    for processor, days in dates_of(processors, wanted):
        if keys := processor.expect.keys:
            source = processors[keys.of] if keys.of else None
            column = source.date_column if source else keys.date_column or processor.date_column
            yield KeyQuery(
                processor=processor,
                dates=days,
                judged=days,
                keys=keys,
                source=source,
                source_dates=None if keys.every_date else DateColumn(column),
            )


@lru_cache(maxsize=CACHED)
def _statement(
    name: str, table: str, dates: DateRange, source: str, source_dates: DateRange | None, keys: Keys
) -> Statement:
    """Each key once, with whether the rows have it and whether the other table does; counted by date."""
    own = _keys(dates.column.date, keys.columns, table, mine=1).where(dates.predicate)
    other = _keys(source_dates.column.date if source_dates else None, keys.source_columns, source, mine=0)
    if source_dates:
        other = other.where(source_dates.predicate)
    if keys.where:
        other = other.where(bracketed(keys.where))
    if not source_dates:
        known = exp.select(exp.alias_(dates.column.date, "date")).distinct().from_(table_of(table))
        days = known.where(dates.predicate).subquery("days")
        other = exp.select("date", *_KEYED).from_(days).join(other.subquery("keyed"), join_type="cross")
    both = exp.union(own, other, distinct=False, copy=False).subquery("keyed")
    by_key = exp.select(
        "date",
        exp.alias_(exp.Max(this=exp.column("mine")), "mine"),
        exp.alias_(exp.Min(this=exp.column("mine")), "only_mine"),
        exp.alias_(exp.Min(this=exp.column("shown")), "shown"),
    )
    counted = by_key.from_(both).group_by("date", "named")
    missing, extra = (exp.column(column).eq(value) for column, value in (("mine", 0), ("only_mine", 1)))
    figures = [count_where(exp.column("only_mine").eq(0)), count_where(missing), count_where(extra)]
    examples = joined([_example(missing), _example(extra)], _SEPARATOR)
    tree = answer_columns(name, exp.column("date"), figures, examples).from_(counted.subquery("counted"))
    return Statement(by_date(tree))


_KEYED = ("named", "shown", "mine")


def _keys(date: exp.Expr | None, columns: Sequence[str], table: str, *, mine: int) -> exp.Select:
    """The keys of the rows of a table, each with its text; `mine` says whose they are."""
    values = {"named": key_of(columns), "shown": _shown(columns), "mine": exp.Literal.number(mine)}
    dated = {"date": date, **values} if date is not None else values
    aliased = (exp.alias_(value, alias) for alias, value in dated.items())
    return exp.select(*aliased).distinct().from_(table_of(table))


def _shown(columns: Sequence[str]) -> exp.Expr:
    """A key as people read it."""
    null = exp.Literal.string("NULL")
    texts = (exp.cast(exp.column(column, quoted=True), "TEXT") for column in columns)
    return joined((exp.func("COALESCE", text, null.copy()) for text in texts), ", ")


def _example(condition: exp.Expr) -> exp.Expr:
    """The first key that holds a condition; empty without one."""
    shown = exp.Min(this=exp.Case(ifs=[exp.If(this=condition.copy(), true=exp.column("shown"))]))
    length = exp.Literal.number(_EXAMPLE_LENGTH)
    short = exp.Substring(this=shown, start=exp.Literal.number(1), length=length)
    return exp.func("COALESCE", short, exp.Literal.string(""))
