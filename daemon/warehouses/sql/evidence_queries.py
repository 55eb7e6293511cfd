"""The product's own queries of tables, as expressions that a warehouse renders in its dialect. Pure.

Dates are always query parameters and never part of the text, so that one text serves every date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce

from sqlglot import exp

from backfilld.daemon.warehouses.adapter import Wanted
from backfilld.daemon.warehouses.sql.date_predicates import DateColumn, DateFilter, DateRange, Param
from backfilld.daemon.warehouses.sql.fragment_embedding import bracketed
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.expectations.aggregate_types import (
    Aggregate,
    DistinctKeys,
    DistinctValues,
    EmptyValues,
    GroupSizes,
    PassingRows,
)

GROUPS = ":groups"
"""What the name of a processor's groups ends with; no processor has such a name."""

CACHED = 4096
"""How many statements are kept: building and rendering one takes milliseconds."""

NOT_BLANK = r"[^\p{Z}\t-\r\x85]"
"""A character that is no white space, as a regular expression of RE2."""
_NAN = "-?(nan|NaN)"
_ZERO = "[-+]?0([.]0*)?"
"""Numbers as warehouses write them in texts. `Nan`, `000` and `0e5` are values: names and codes are texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFilter:
    """The partitions of a table that a SELECT reads; without a column, the whole table."""

    table: str
    column: str | None
    dates: tuple[dt.date, ...]


@dataclass(frozen=True, eq=False)
class Statement:
    """An expression that is built once and rendered once: it is compared by identity, as a key of caches."""

    tree: exp.Expr

    @lru_cache(maxsize=CACHED)  # noqa: B019  statements are few, and cached themselves
    def sql(self, dialect: str) -> str:
        """The text in a dialect; SQL of the pipeline file in it stays as it was written."""
        return self.tree.sql(dialect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """One SELECT, with its tables. A query of the pipeline file has none: it may read anything."""

    statement: Statement
    partitions: tuple[PartitionFilter, ...] = ()

    def partitions_of(self, table: str) -> PartitionFilter | None:
        """The partitions of a table that it reads, the first ones where it reads the table twice."""
        return next((part for part in self.partitions if part.table == table), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query: the UNION ALL of its SELECTs, with their parameters."""

    selects: tuple[Select, ...]
    params: Mapping[str, Param]

    def sql(self, dialect: str) -> str:
        """The whole text."""
        return "\nUNION ALL\n".join(select.statement.sql(dialect) for select in self.selects)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuery:
    """The query of one processor's table.

    `count_only` counts the rows and nothing else: for a table that others are measured against, and that
    is not judged itself. `groups` counts the sizes of groups in place of rows and figures. `date_column` is
    the processor's with its type; None takes it for a DATE.
    """

    processor: Processor
    dates: tuple[dt.date, ...]
    date_column: DateColumn | None = None
    count_only: bool = False
    groups: GroupSizes | None = None

    @property
    def name(self) -> str:
        """The name of its rows in the answer: the processor's, or that of its groups."""
        return groups_name(self.processor.name) if self.groups else self.processor.name

    @property
    def is_separate(self) -> bool:
        """Whether it is sent in a query of its own."""
        return False

    @property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """The figures that are counted, in the answer's order."""
        return () if self.count_only else self.processor.expect.aggregates

    def with_columns(self, column_of: Callable[[Processor], DateColumn]) -> TableQuery:
        """The query with the types of its date columns."""
        return replace(self, date_column=column_of(self.processor))

    def selects(self, dates: DateFilter) -> Iterator[Select]:
        """The SELECTs of the query; their parameters are added to `dates`."""
        table, where = self.processor.table, self.date_range(dates)
        if self.groups:
            statement = _groups_statement(self.name, table, self.groups, where)
        else:
            statement = _statement(self.name, table, self.aggregates, where)
        yield Select(statement=statement, partitions=(self.partitions,))

    def date_range(self, dates: DateFilter) -> DateRange:
        """The range of its dates in its own table; the parameters are added to `dates`."""
        return dates.add(self.dates, self.date_column or DateColumn(self.processor.date_column))

    @property
    def partitions(self) -> PartitionFilter:
        """The partitions of its own table."""
        return PartitionFilter(
            table=self.processor.table, column=self.processor.date_column, dates=self.dates
        )


def dates_of(
    processors: Mapping[str, Processor], wanted: Wanted
) -> Iterator[tuple[Processor, tuple[dt.date, ...]]]:
    """The wanted processors with their dates in order; none without dates."""
    for name, days in wanted.items():
        if days:
            yield processors[name], tuple(sorted(days))


def table_queries(processors: Mapping[str, Processor], wanted: Wanted) -> list[TableQuery]:
    """One query per table: the wanted processors', and those that they are measured against."""
    dates = {name: set(days) for name, days in wanted.items() if days}
    for name, days in wanted.items():
        reference = processors[name].expect.reference
        if reference and days:
            dates.setdefault(reference, set()).update(days)
    tables = [
        TableQuery(processor=processors[name], dates=tuple(sorted(days)), count_only=not wanted.get(name))
        for name, days in dates.items()
    ]
    groups = [
        TableQuery(processor=processor, dates=days, groups=processor.expect.rows_each.sizes)
        for processor, days in dates_of(processors, wanted)
        if processor.expect.rows_each
    ]
    return tables + groups


def groups_name(processor: str) -> str:
    """The name under which the sizes of a processor's groups are answered."""
    return processor + GROUPS


def evidence(tables: Iterable[TableQuery]) -> Query:
    """One query over all tables: a row per (processor, date) that has rows."""
    dates = DateFilter()
    selects = tuple(select for table in tables for select in table.selects(dates))
    return Query(selects=selects, params=dates.params)


@lru_cache(maxsize=CACHED)
def _statement(processor: str, table: str, aggregates: tuple[Aggregate, ...], dates: DateRange) -> Statement:
    figures = [_figure(aggregate) for aggregate in aggregates]
    tree = answer_columns(processor, dates.column.date, figures).from_(table_of(table)).where(dates.predicate)
    return Statement(by_date(tree))


def answer_columns(
    name: str, date: exp.Expr, figures: Sequence[exp.Expr] = (), text: exp.Expr | None = None
) -> exp.Select:
    """The columns of an answer, without their source: name, date, rows, figures and perhaps a text."""
    columns: dict[str, exp.Expr] = {
        "processor": exp.Literal.string(name),
        "date": date,
        "n": exp.Count(this=exp.Star()),
        "figures": exp.Array(expressions=[*figures]),
    }
    if text is not None:
        columns["text"] = text
    return exp.select(*(exp.alias_(column, alias) for alias, column in columns.items()))


def by_date(tree: exp.Select) -> exp.Select:
    """An answer with a row for each date."""
    # By position: a name could be that of another column.
    return tree.group_by(exp.Literal.number(2))


@lru_cache(maxsize=CACHED)
def _groups_statement(name: str, table: str, sizes: GroupSizes, dates: DateRange) -> Statement:
    """The groups of each date: how many, how many out of bounds, the smallest and the largest."""
    keys = [dates.column.date, *(exp.column(column, quoted=True) for column in sizes.group_by)]
    groups = (
        exp.select(exp.alias_(keys[0].copy(), "date"), exp.alias_(exp.Count(this=exp.Star()), "size"))
        .from_(table_of(table))
        .where(dates.predicate)
        .group_by(*keys)
    )
    size = exp.column("size")
    too_large = (
        exp.false() if sizes.most is None else exp.GT(this=size, expression=exp.Literal.number(sizes.most))
    )
    figures = [
        exp.Count(this=exp.Star()),
        count_where(exp.LT(this=size.copy(), expression=exp.Literal.number(sizes.least))),
        count_where(too_large),
        exp.Min(this=size.copy()),
        exp.Max(this=size.copy()),
    ]
    tree = answer_columns(name, exp.column("date"), figures).from_(groups.subquery("sizes"))
    return Statement(by_date(tree))


def _figure(aggregate: Aggregate) -> exp.Expr:
    match aggregate:
        case DistinctValues(column):
            return exp.Count(this=exp.Distinct(expressions=[exp.column(column, quoted=True)]))
        case DistinctKeys(columns):
            return exp.Count(this=exp.Distinct(expressions=[key_of(columns)]))
        case PassingRows(where):
            return count_where(bracketed(where))
        case EmptyValues(column, zero):
            return count_where(_is_empty(exp.column(column, quoted=True), zero=zero))


def key_of(columns: Sequence[str]) -> exp.Expr:
    """A text that is the same for the same values, and no other. NULL differs from every text."""
    parts: list[exp.Expr] = []
    for column in columns:
        text = exp.cast(exp.column(column, quoted=True), "TEXT")
        # With its length in front no value runs into the next one.
        length = exp.cast(exp.Length(this=text.copy()), "TEXT")
        parts.append(exp.func("COALESCE", joined([length, text], ":"), exp.Literal.string("-")))
    return reduce(_concatenated, parts)


def joined(texts: Iterable[exp.Expr], separator: str) -> exp.Expr:
    """Texts as one, with a separator between them."""
    between = exp.Literal.string(separator)
    return reduce(lambda left, right: _concatenated(_concatenated(left, between.copy()), right), texts)


def _concatenated(left: exp.Expr, right: exp.Expr) -> exp.Expr:
    return exp.DPipe(this=left, expression=right)


def _is_empty(value: exp.Column, *, zero: bool) -> exp.Expr:
    """Whether a value is NULL, NaN, blank or, with `zero`, zero, whatever its type."""
    # By way of text: `x = 0` is an error on a column of texts.
    text = exp.cast(value, "TEXT")
    blank = exp.RegexpLike(this=text, expression=exp.Literal.string(NOT_BLANK)).not_()
    pattern = f"^({_NAN}|{_ZERO})$" if zero else f"^{_NAN}$"
    no_value = exp.RegexpLike(this=text.copy(), expression=exp.Literal.string(pattern))
    return exp.or_(value.is_(exp.null()), blank, no_value)


def count_where(predicate: exp.Expr) -> exp.Expr:
    """The rows that hold a predicate. Never NULL: COUNTIF is, in some dialects, where it holds nowhere."""
    return exp.Count(this=exp.Case(ifs=[exp.If(this=predicate, true=exp.Literal.number(1))]))


def table_of(name: str) -> exp.Table:
    """A table by its path: `dataset.table` or `project.dataset.table`."""
    *catalog, db, table = name.split(".")
    return exp.table_(table, db=db, catalog=catalog[0] if catalog else None, quoted=True)
