"""How tables and history are asked: in which order, how often, and what a refusal may spoil."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backfilld.daemon.warehouses.adapter import QueryError, WarehouseError
from backfilld.daemon.warehouses.lake.table_metadata import LakeCatalog
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.evidence_queries import Query
from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from tests.factories import phase, pipeline, processor

DAY = dt.date(2021, 10, 26)
NAMES = [f"table_{number}" for number in range(8)]
NO_CATALOG = LakeCatalog(Path("nowhere"))


class Scripted:
    """A backend that refuses by script and has one row of everything else."""

    def __init__(self, refuse: Callable[[str], Exception | None]) -> None:
        self.sent: list[str] = []
        self._refuse = refuse

    def query(self, question: Query, *, purpose: str) -> list[Row]:
        sql = question.sql("bigquery")
        self.sent.append(sql)
        refusal = self._refuse(sql)
        if refusal:
            raise refusal
        if "runs AS" in sql:
            return []
        return [
            {"processor": name, "date": DAY, "n": 1, "figures": []}
            for name in NAMES
            if f"`nba`.`{name}`" in sql
        ]

    def estimate_bytes(self, question: Query) -> int:
        if refusal := self._refuse(question.sql("bigquery")):
            raise refusal
        return len(question.selects)

    def check(self, question: Query) -> None:
        self.estimate_bytes(question)

    def close(self) -> None:
        pass


def inquiry(
    refuse: Callable[[str], Exception | None], *, history: bool = True
) -> tuple[WarehouseClient, Scripted]:
    """A warehouse of eight tables over a scripted backend."""
    backend = Scripted(refuse)
    keys: dict[str, Any] = {} if history else {"history": None}
    ours = pipeline(phase("raw", *map(processor, NAMES)), **keys)
    return WarehouseClient(ours, backend, NO_CATALOG), backend


WANTED = {name: [DAY] for name in NAMES}


def naming(
    *tables: str, inaccessible: bool = False, permanent: bool = False
) -> Callable[[str], Exception | None]:
    """Refuse whatever names one of the tables."""

    def refuse(sql: str) -> Exception | None:
        named = [table for table in tables if f"`nba`.`{table}`" in sql]
        if not named:
            return None
        return QueryError(f"no {named[0]}", inaccessible=inaccessible, permanent=permanent)

    return refuse


def dated(backend: Scripted, name: str, moment: dt.datetime) -> None:
    """Have one table's date column be a DATETIME, or the run history's."""
    plain = backend.query
    run = {"processor": name, "date": moment, "status": "failed", "open": False, "since": 1, "ended": 1}

    def query(question: Query, *, purpose: str) -> list[Row]:
        rows = plain(question, purpose=purpose)
        if name == "history" and "runs AS" in question.sql("bigquery"):
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
    of_history = {"table_7": f"run history could not be read: {told}"}
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
    seen, _ = inquiry(naming(*NAMES, inaccessible=True))
    assert all(found.error for found in seen.evidence(WANTED, purpose="gate").values())

    # Then without it, nobody knows that the place is right
    blind, _ = inquiry(naming(*NAMES, inaccessible=True), history=False)
    with pytest.raises(WarehouseError, match="none of 8 tables can be read: no table_0"):
        blind.evidence(WANTED, purpose="gate")


@pytest.mark.parametrize("permanent", [True, False])
def test_a_warehouse_without_its_tables_waits_for_an_operator_where_each_of_them_does(
    permanent: bool,
) -> None:
    refused = naming(*NAMES, inaccessible=True, permanent=permanent)
    warehouse, _ = inquiry(refused, history=False)
    with pytest.raises(WarehouseError) as raised:
        warehouse.evidence(WANTED, purpose="gate")
    assert (raised.value.until_corrected, raised.value.permanent) == (permanent, False)
    assert (UNTIL_CORRECTED in raised.value.reason) is permanent


def test_tables_that_are_all_asked_for_nonsense_are_no_broken_warehouse() -> None:
    warehouse, _ = inquiry(naming(*NAMES), history=False)
    assert all(found.error for found in warehouse.evidence(WANTED, purpose="gate").values())


def test_one_table_alone_that_cannot_be_seen_is_its_own_matter() -> None:
    warehouse, _ = inquiry(naming("table_0", inaccessible=True), history=False)
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
        warehouse.estimate_bytes(WANTED)


def test_a_price_is_that_of_both_questions() -> None:
    warehouse, _ = inquiry(naming())
    assert warehouse.estimate_bytes(WANTED) == 9
    assert warehouse.estimate_bytes({"table_0": [], "table_1": [DAY]}) == 2
    assert warehouse.estimate_bytes({}) == 0


def test_the_queries_of_rules_are_estimated_too() -> None:
    # Given a table with keys, a measure, and SQL that is sent for each of 60 dates
    rules = {
        "keys": {"columns": ["id"], "from": "ref.days"},
        "change": [{"of": "SUM(x)", "min": 0.5}],
        "no_rows": "SELECT 1 FROM nba.box WHERE date = @date",
    }
    ours = pipeline(phase("raw", processor("box", expect=rules)), history=None)
    warehouse = WarehouseClient(ours, Scripted(lambda sql: None), NO_CATALOG)
    dates = [DAY + dt.timedelta(days=number) for number in range(60)]
    assert warehouse.estimate_bytes({"box": dates}) == 1 + 1 + 1 + 60


def answering(backend: Scripted, name: str, **figures: object) -> None:
    """Have the answer for one table hold other figures."""
    plain = backend.query

    def query(question: Query, *, purpose: str) -> list[Row]:
        rows = plain(question, purpose=purpose)
        return [{**row, **figures} if row["processor"] == name else row for row in rows]

    backend.query = query  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("figures", "problem"),
    [
        ({"n": "many"}, "its answer has 'many' where a whole number belongs"),
        ({"n": 1.5}, "its answer has 1.5 where a whole number belongs"),
        ({"figures": [1]}, "its answer has 1 figures, not 0"),
        ({"processor": "stranger"}, "its answer cannot be read: KeyError: 'stranger'"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_of_its_table_alone(
    figures: dict[str, object], problem: str
) -> None:
    warehouse, backend = inquiry(naming(), history=False)
    answering(backend, "table_3", **figures)
    answers = warehouse.evidence(WANTED, purpose="gate")
    errors = {name: found.error for (name, _), found in answers.items() if found.error}
    assert errors == {"table_3": f"nba.table_3: {problem}"}
    assert sum(found.rows for found in answers.values()) == len(NAMES) - 1


@pytest.mark.parametrize(
    "error", [TypeError("int() of None"), ValueError("year 0 is out of range"), OverflowError()]
)
def test_a_client_that_cannot_read_one_table_leaves_the_others_answered(error: Exception) -> None:
    warehouse, _ = inquiry(lambda sql: error if "`nba`.`table_3`" in sql else None, history=False)
    answers = warehouse.evidence(WANTED, purpose="gate")
    assert [name for (name, _), found in answers.items() if found.error] == ["table_3"]
    assert answers["table_3", DAY].error.startswith("nba.table_3: its answer cannot be read: ")


def test_a_history_that_cannot_be_read_is_an_error_only_where_there_are_no_rows() -> None:
    warehouse, _ = inquiry(lambda sql: TypeError("no") if "runs AS" in sql else None)
    answers = warehouse.evidence(WANTED | {"table_7": [DAY - dt.timedelta(days=1)]}, purpose="gate")
    errors = {name: found.error for (name, _), found in answers.items() if found.error}
    assert errors == {"table_7": "run history could not be read: its answer cannot be read: TypeError: no"}


def test_a_figure_that_is_null_is_zero() -> None:
    rules = {"quality": {"where": "x > 1"}, "distinct": [{"column": "game_id", "per": "games"}]}
    backend = Scripted(naming())
    answering(backend, "table_0", figures=[None, None])
    ours = pipeline(phase("raw", processor("table_0", expect=rules)), history=None)
    answers = WarehouseClient(ours, backend, NO_CATALOG).evidence({"table_0": [DAY]}, purpose="gate")
    assert answers["table_0", DAY] == Evidence(rows=1, distinct={"game_id": 0}, passing_rows=0)
