"""Schema and values of an SQLite database that no program wrote: damage that its structure does not show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from sqlalchemy import (
    Column,
    Connection,
    Date,
    Double,
    LargeBinary,
    Table,
    Text,
    cast,
    create_engine,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from backfilld.state.records import Action, AttemptStatus, EnqueueOutcome
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.schema import (
    attempts,
    audit,
    backfill_dates,
    backfills,
    calendar_days,
    check_counts,
    checks,
    date_counts,
    dates,
    metadata,
    transitions,
)
from backfilld.state.store.schema_creation import create_schema

_LATEST = 253_402_300_799.0
"""The last second of the year 9999, the last one that Python can show."""
_ENUMERATIONS: dict[Column[str], type[StrEnum]] = {
    attempts.c.status: AttemptStatus,
    audit.c.action: Action,
    backfill_dates.c.answer: EnqueueOutcome,
    backfill_dates.c.outcome: Outcome,
    check_counts.c.verdict: Verdict,
    checks.c.verdict: Verdict,
    date_counts.c.outcome: Outcome,
    date_counts.c.waiting: WaitReason,
    dates.c.outcome: Outcome,
    dates.c.waiting: WaitReason,
    transitions.c.trigger: Trigger,
}
"""Columns with a member of an enumeration, or an empty text."""
_JSON = (audit.c.before, audit.c.after, backfills.c.selection, calendar_days.c.counts)
_WORD = re.compile(r'\w+|[^\s\w"]')
"""A word of SQL, or one of its signs without quotes of names, which a migration may write or leave out."""
_BEYOND_ASCII = "*[^ -~]*"


def damaged_schema(tx: Connection) -> str:
    """The first part of the schema that differs from that of a new database; empty if none does.

    Raises:
        OperationalError: a table is missing, or a constraint or trigger of it cannot be used.
    """
    for table in metadata.sorted_tables:
        columns = {row.name for row in tx.exec_driver_sql(f'PRAGMA table_info("{table.name}")')}
        if columns != set(table.columns.keys()):
            return f"the table {table.name} has other columns"
        # Compiles all constraints and triggers, and runs nothing.
        tx.exec_driver_sql(f'EXPLAIN INSERT INTO "{table.name}" DEFAULT VALUES')
    found, expected = _definitions(tx), _expected_definitions()
    differing = {name for name, words in expected.items() if found.get(name) != words}
    return f"the table, index or trigger {min(differing)} is not as it was made" if differing else ""


def _expected_definitions() -> Mapping[str, Sequence[str]]:
    engine = create_engine("sqlite://")
    with engine.begin() as tx:
        create_schema(tx, version="")
        expected = _definitions(tx)
    engine.dispose()
    return expected


def _definitions(tx: Connection) -> Mapping[str, Sequence[str]]:
    """The words of the SQL of each table, index and trigger, in the order of the alphabet.

    Migrations may have made it in another layout, or have added a column behind the constraints.
    """
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    return {name: sorted(_WORD.findall(sql)) for name, sql in tx.exec_driver_sql(query)}


def damaged_values(tx: Connection) -> str:
    """The first table with a value that no program wrote, as a sentence; empty if there is none."""
    for table in metadata.sorted_tables:
        if (
            tx.execute(select(literal(1)).where(or_(false(), *_impossible(table))).limit(1)).first()
            is not None
        ):
            return f"the table {table.name} has a value that backfilld did not write"
        texts = [c for c in table.c if isinstance(c.type, Text) and c not in _ENUMERATIONS]
        if texts and not _decodable(tx, texts):
            return f"the table {table.name} has a text that is not UTF-8"
    return ""


def _impossible(table: Table) -> Iterator[ColumnElement[bool]]:
    """Conditions on the rows of a table that are true of a damaged value; NULL satisfies none."""
    for column in table.c:
        if column in _ENUMERATIONS:
            yield column.not_in(["", *_ENUMERATIONS[column]])
        elif column in _JSON:
            yield (column != "") & not_(func.json_valid(column))
        elif isinstance(column.type, Date):
            yield func.coalesce(func.date(column), "") != column
        elif isinstance(column.type, Double):
            # A text or a blob compares as greater than every number.
            yield not_(column.between(-_LATEST, _LATEST))
        elif not isinstance(column.type, Text):
            yield func.typeof(column).not_in(["integer", "null"])


def _decodable(tx: Connection, texts: Sequence[Column[str]]) -> bool:
    """Whether all texts of some columns are UTF-8. SQLite finds the rows beyond ASCII, which are few."""
    beyond = or_(*(column.op("GLOB")(_BEYOND_ASCII) for column in texts))
    query = select(*(cast(column, LargeBinary) for column in texts)).where(beyond)
    try:
        for row in tx.execute(query):
            for value in filter(None, row):
                value.decode()
    except UnicodeDecodeError:
        return False
    return True
