"""How tables and history are asked: in which order, how often, and what a refusal may spoil."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.backend import QueryError, Row
from backfilld.daemon.warehouses.calendar import CalendarReader
from backfilld.daemon.warehouses.client import WarehouseClient
from backfilld.daemon.warehouses.sql.queries import Query
from backfilld.state.rules.verdict import Evidence
from tests.factories import phase, pipeline, processor

DAY = dt.date(2021, 10, 26)
NAMES = [f"table_{number}" for number in range(8)]


class Scripted:
    """A backend that refuses by script and has one row of everything else."""

    def __init__(self, refuse: Callable[[str], Exception | None]) -> None:
        self.sent: list[str] = []
        self._refuse = refuse

    def query(self, question: Query, *, purpose: str) -> list[Row]:
        self.sent.append(question.sql)
        refusal = self._refuse(question.sql)
        if refusal:
            raise refusal
        if "runs AS" in question.sql:
            return []
        return [
            {"processor": name, "date": DAY, "n": 1, "figures": []}
            for name in NAMES
            if f"`nba.{name}`" in question.sql
        ]

    def price(self, question: Query) -> int:
        if refusal := self._refuse(question.sql):
            raise refusal
        return len(question.branches)

    def close(self) -> None:
        pass


def inquiry(
    refuse: Callable[[str], Exception | None], *, history: bool = True
) -> tuple[WarehouseClient, Scripted]:
    """A warehouse of eight tables over a scripted backend."""
    backend = Scripted(refuse)
    keys: dict[str, Any] = {} if history else {"history": None}
    ours = pipeline(phase("raw", *map(processor, NAMES)), **keys)
    return WarehouseClient(ours, backend, CalendarReader(ours, backend)), backend


WANTED = {name: [DAY] for name in NAMES}


def naming(*tables: str, unseen: bool = False) -> Callable[[str], Exception | None]:
    """Refuse whatever names one of the tables."""

    def refuse(sql: str) -> Exception | None:
        named = [table for table in tables if f"`nba.{table}`" in sql]
        return QueryError(f"no {named[0]}", unseen=unseen) if named else None

    return refuse


def dated(backend: Scripted, name: str, moment: dt.datetime) -> None:
    """Have one table's date column be a DATETIME, or the run history's."""
    plain = backend.query
    run = {"processor": name, "date": moment, "status": "failed", "open": False, "since": 1, "ended": 1}

    def query(question: Query, *, purpose: str) -> list[Row]:
        rows = plain(question, purpose=purpose)
        if name == "history" and "runs AS" in question.sql:
            return [{**run, "detail": None, "controller": None}]
        return [{**row, "date": moment} if row["processor"] == name else row for row in rows]

    backend.query = query  # type: ignore[method-assign]


@pytest.mark.parametrize("name", ["table_3", "history"])
def test_dates_of_another_type_are_no_answer(name: str) -> None:
    """BigQuery compares a DATETIME with a DATE, and equals none: it would read as a table without rows."""
    # Given
    warehouse, backend = inquiry(naming())
    dated(backend, name, dt.datetime(2021, 10, 26))

    # When
    answers = warehouse.evidence(WANTED | {"table_7": [DAY - dt.timedelta(days=1)]}, purpose="gate")

    # Then
    errors = {asked: found.error for (asked, _), found in answers.items() if found.error}
    told = "its dates must be of the type DATE; datetime.datetime(2021, 10, 26, 0, 0) is none"
    of_history = {"table_7": f"run history could not be asked: {told}"}
    assert errors == (of_history if name == "history" else {name: f"nba.{name}: {told}"})


def test_history_is_asked_before_the_rows_that_it_explains() -> None:
    """A job may end between the two: its rows are then seen, never its success without them."""
    warehouse, backend = inquiry(naming())
    warehouse.evidence(WANTED, purpose="gate")
    assert ["runs AS" in sql for sql in backend.sent] == [True, False]


def test_culprits_are_found_by_asking_each_apart() -> None:
    # When
    warehouse, backend = inquiry(naming("table_5"), history=False)
    answers = warehouse.evidence(WANTED, purpose="gate")

    # Then all together, and then each of the eight
    assert len(backend.sent) == 9
    assert answers["table_5", DAY].error == "nba.table_5: no table_5"
    assert [found.rows for found in answers.values()] == [1, 1, 1, 1, 1, 0, 1, 1]


def test_known_culprits_are_asked_apart_and_cost_one_question_each() -> None:
    # Given
    warehouse, backend = inquiry(naming("table_1", "table_6"), history=False)
    warehouse.evidence(WANTED, purpose="gate")
    backend.sent.clear()

    # When asked again, and about others only
    warehouse.evidence(WANTED, purpose="gate")
    assert len(backend.sent) == 3
    backend.sent.clear()
    warehouse.evidence({"table_0": [DAY]}, purpose="gate")

    # Then what was not asked about is still known
    assert len(backend.sent) == 1
    backend.sent.clear()
    warehouse.evidence(WANTED, purpose="gate")
    assert len(backend.sent) == 3


def test_tables_that_cannot_be_seen_are_a_broken_warehouse_only_when_nothing_else_is() -> None:
    # Given all tables missing, and a history that answers
    seen, _ = inquiry(naming(*NAMES, unseen=True))
    assert all(found.error for found in seen.evidence(WANTED, purpose="gate").values())

    # Then without it, nobody knows that the place is right
    blind, _ = inquiry(naming(*NAMES, unseen=True), history=False)
    with pytest.raises(WarehouseError, match="none of 8 tables can be seen: no table_0"):
        blind.evidence(WANTED, purpose="gate")


def test_tables_that_are_all_asked_for_nonsense_are_no_broken_warehouse() -> None:
    warehouse, _ = inquiry(naming(*NAMES), history=False)
    assert all(found.error for found in warehouse.evidence(WANTED, purpose="gate").values())


def test_one_table_alone_that_cannot_be_seen_is_its_own_matter() -> None:
    warehouse, _ = inquiry(naming("table_0", unseen=True), history=False)
    answers = warehouse.evidence({"table_0": [DAY]}, purpose="gate")
    assert answers["table_0", DAY] == Evidence(error="nba.table_0: no table_0")


def test_a_warehouse_that_fails_is_not_asked_table_by_table() -> None:
    warehouse, backend = inquiry(lambda sql: WarehouseError("down"))
    with pytest.raises(WarehouseError, match="down"):
        warehouse.evidence(WANTED, purpose="gate")
    assert len(backend.sent) == 1


def test_a_refusal_is_one_line() -> None:
    assert str(QueryError("\n  Binder Error: no x\nLINE 1: SELECT x\n")) == "Binder Error: no x"
    assert str(QueryError("")) == "no message"


def test_a_table_that_is_refused_has_no_price_and_neither_has_the_question() -> None:
    warehouse, _ = inquiry(naming("table_5"))
    with pytest.raises(WarehouseError, match=r"^no table_5$"):
        warehouse.price(WANTED)


def test_a_price_is_that_of_both_questions() -> None:
    warehouse, _ = inquiry(naming())
    assert warehouse.price(WANTED) == 9
    assert warehouse.price({"table_0": [], "table_1": [DAY]}) == 2
    assert warehouse.price({}) == 0
