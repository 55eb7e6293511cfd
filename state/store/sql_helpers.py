"""SQL that several modules of the store share: sending it, INSERT with ON CONFLICT, and rows by dates."""

from __future__ import annotations

import datetime as dt
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Date, Insert, Select, Table, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.expression import CompoundSelect, UpdateBase
from sqlalchemy.types import TypeEngine

_BRANCHES = 50
"""How many parts a compound query has at most; SQLite allows 500."""
_MOST_PADDED = 1024
"""The longest list of parameters that is padded. A request has up to 20,000 dates; SQLite allows 32,766."""
_Item = TypeVar("_Item")
_SQLITE = sqlite.dialect()
_NONE: Mapping[str, Any] = MappingProxyType({})
_Values = Mapping[str, Any]
_Convert = Callable[[Any], Any]
_Condition = ColumnElement[bool] | None
_Columns = tuple[Column[Any], ...]


def fetch(
    tx: Connection, query: Select[*tuple[Any, ...]] | CompoundSelect[Any], values: _Values = _NONE
) -> Sequence[Any]:
    """The rows of a query that is built once, as named tuples.

    SQLAlchemy takes several times as long as SQLite for each statement. Here it compiles the query once, and
    its types convert parameters and results. PostgreSQL's are sent by SQLAlchemy: the network takes longer.
    """
    if tx.dialect.name != "sqlite":
        return tx.execute(query, values).all()
    statement, cursor = prepared(query), tx.connection.cursor()
    cursor.execute(*statement.filled(values))
    return [statement.row(row) for row in cursor.fetchall()]


def fetch_one(tx: Connection, query: Select[*tuple[Any, ...]], values: _Values = _NONE) -> Any:
    """The first row of a query that is built once, as a named tuple; None without any."""
    return next(iter(fetch(tx, query, values)), None)


def execute(tx: Connection, change: UpdateBase, values: Sequence[_Values]) -> int:
    """Run a change that is built once, with each of some parameters, if there are any.

    Returns how many rows changed.
    """
    if not values:
        return 0
    if tx.dialect.name != "sqlite":
        return int(tx.execute(change, values).rowcount)
    columns = tuple(values[0]) if isinstance(change, Insert) else ()
    statement, cursor = prepared(change, columns), tx.connection.cursor()
    if statement.lists:
        return sum(cursor.execute(*statement.filled(each)).rowcount for each in values)
    cursor.executemany(statement.sql, [statement.filled(each)[1] for each in values])
    return cursor.rowcount


def insert_row(tx: Connection, change: Insert, values: _Values) -> int:
    """Insert one row and return its number, the key of its table.

    Raises:
        IntegrityError: the row breaks a rule of the database; of the driver, or of SQLAlchemy.
    """
    if tx.dialect.name != "sqlite":
        (number,) = tx.execute(change, values).inserted_primary_key or (0,)
        return int(number)
    statement = prepared(change, tuple(values))
    return tx.connection.cursor().execute(*statement.filled(values)).lastrowid or 0


class Prepared(NamedTuple):
    """A statement as text, with what converts its parameters and the columns of its rows."""

    sql: str
    names: Sequence[tuple[str, _Convert | None]]
    lists: Collection[str]
    """The parameters that are lists."""
    constants: _Values
    row_type: Callable[[Iterable[Any]], Any]
    converted: Sequence[tuple[int, _Convert]]

    def filled(self, values: _Values) -> tuple[str, list[object]]:
        """The text, with a mark for each element of a list, and the parameters in its order."""
        known = {**self.constants, **values} if self.constants else values
        if not self.lists:
            return self.sql, [
                convert(known[name]) if convert else known[name] for name, convert in self.names
            ]
        sql, flat = self.sql, list[object]()
        for name, convert in self.names:
            elements = _padded(known[name]) if name in self.lists else [known[name]]
            flat += map(convert, elements) if convert else elements
            if name in self.lists:
                sql = sql.replace(f"__[POSTCOMPILE_{name}]", ", ".join("?" * len(elements)))
        return sql, flat

    def row(self, values: tuple[Any, ...]) -> Any:
        """A row of the result."""
        if self.converted:
            changed = list(values)
            for index, convert in self.converted:
                changed[index] = convert(changed[index])
            return self.row_type(changed)
        return self.row_type(values)


@cache
def prepared(statement: Any, columns: tuple[str, ...] = ()) -> Prepared:
    """The text of a statement for SQLite; of an INSERT, with these columns."""
    compiled = statement.compile(dialect=_SQLITE, column_keys=columns or None)
    selected = () if isinstance(statement, UpdateBase) else statement.selected_columns
    results = [column.type.dialect_impl(_SQLITE).result_processor(_SQLITE, None) for column in selected]
    new_type: Callable[..., Any] = namedtuple  # its names are known at run time only
    row_type = new_type("Row", [column.key for column in selected], rename=True)
    return Prepared(
        sql=str(compiled),
        names=[(name, _converter(compiled.binds[name].type)) for name in compiled.positiontup],
        lists=[compiled.bind_names[bind] for bind in compiled.post_compile_params],
        constants={name: bind.value for name, bind in compiled.binds.items() if not bind.required},
        row_type=partial(tuple.__new__, row_type),  # as `_make`, which counts the columns of each row
        converted=[(index, convert) for index, convert in enumerate(results) if convert],
    )


def _padded(elements: Collection[object]) -> list[object]:
    """The elements, of which the last is repeated up to a power of two; long lists as they are.

    So lists have few lengths: each is a text of its own, of which SQLite keeps some compiled.
    """
    listed = list(elements)
    if len(listed) > _MOST_PADDED:
        return listed
    return listed + listed[-1:] * ((1 << (len(listed) - 1).bit_length()) - len(listed))


def _converter(of: TypeEngine[Any]) -> _Convert | None:
    """What converts a parameter of a type. That of SQLAlchemy for dates takes ten times as long."""
    if isinstance(of, Date):
        return dt.date.isoformat
    convert: _Convert | None = of.dialect_impl(_SQLITE).bind_processor(_SQLITE)
    return convert


def chunked(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """The items in chunks, for each of which one compound query with a part per item is allowed."""
    return (items[start : start + _BRANCHES] for start in range(0, len(items), _BRANCHES))


def upsert(tx: Connection, table: Table) -> sqlite.Insert:
    """An INSERT of the dialect in use, with `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return upsert_in(tx.dialect.name, table)


def upsert_in(dialect: str, table: Table) -> sqlite.Insert:
    """As `upsert`, of a dialect by its name, for statements that are built once."""
    if dialect == "postgresql":
        # Both dialects have these clauses; only the names of the types differ.
        return postgresql.insert(table)  # type: ignore[return-value]
    return sqlite.insert(table)


def select_by_dates(
    tx: Connection,
    table: Table,
    wanted: Collection[dt.date],
    condition: _Condition = None,
    columns: _Columns = (),
    values: _Values = _NONE,
) -> Iterable[Any]:
    """The rows of some dates.

    `condition` and `columns` (all by default) are constants of a module: the statement is kept for them.
    `values` are the parameters of `condition`.
    """
    if not wanted:
        return ()
    if span := whole_span(wanted):
        return fetch(tx, _between(table, condition, columns), {**values, **span})
    return fetch(tx, _listed(table, condition, columns), {**values, "_dates": list(wanted)})


def whole_span(wanted: Collection[dt.date]) -> Mapping[str, dt.date] | None:
    """`_start` and `_end` of some dates if these are all dates between them, else None.

    A span is read by one statement for any number of dates.
    """
    first, last = min(wanted), max(wanted)
    if (last - first).days >= len(set(wanted)):
        return None
    return {"_start": first, "_end": last}


# Statements are built once: building one costs more than SQLite takes to run it.
@cache
def _between(table: Table, condition: _Condition, columns: _Columns) -> Select[Any]:
    return _where(table.c.date.between(bindparam("_start"), bindparam("_end")), condition, columns or table.c)


@cache
def _listed(table: Table, condition: _Condition, columns: _Columns) -> Select[Any]:
    return _where(table.c.date.in_(bindparam("_dates", expanding=True)), condition, columns or table.c)


def _where(dates: ColumnElement[bool], condition: _Condition, columns: Iterable[Column[Any]]) -> Select[Any]:
    return select(*columns).where(dates) if condition is None else select(*columns).where(dates, condition)
