"""A BigQuery that does not answer: every way of it is told from an answer, in time, and from the others."""

import datetime as dt
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from tests.factories import phase, pipeline, processor
from tests.integration.bigquery_stub import Stub, refuse, serving
from tests.integration.served_api import Answer
from tests.integration.warehouses import DAY

DAWN = dt.datetime(2025, 12, 1, tzinfo=dt.UTC).timestamp()
RAW = phase("raw", *(processor(name, date_column="game_date") for name in ("one", "two", "three")))
WANTED = {name: [DAY] for name in ("one", "two", "three")}
GRANT = "grant roles/bigquery.dataViewer on it to the daemon's account"
DENIED = "Access Denied: Table p:nba.two: User does not have permission to query table p:nba.two"


@pytest.fixture
def stub() -> Iterator[Stub]:
    """BigQuery's API, scripted."""
    with serving(Stub()) as server:
        yield server


def warehouse(
    endpoint: str, *, errors: list[int] | None = None, query_timeout: str = "30s", now: float = DAWN
) -> WarehouseClient:
    """The warehouse at an address."""
    source = {"kind": "bigquery", "project": "p", "endpoint": endpoint, "query_timeout": query_timeout}
    return open_warehouse(
        pipeline(RAW, warehouse=source, history=None),
        on_query=lambda purpose, billed: None,
        on_error=lambda: errors.append(1) if errors is not None else None,
        now=lambda: now,
    )


@contextmanager
def soon() -> Iterator[None]:
    """Hold a block to two minutes: left alone, Google's client goes on asking for ten."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 120


def test_a_server_that_is_down_is_known_within_seconds() -> None:
    # Given an address where nobody listens
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    errors: list[int] = []

    # Then
    with soon(), pytest.raises(WarehouseError, match=r"cannot be reached: .*Connection refused"):
        warehouse(address, errors=errors).evidence(WANTED, purpose="gate")
    assert errors == [1]


def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with soon(), pytest.raises(WarehouseError, match=r"cannot be reached: .*timed out"):
            warehouse(address, query_timeout="1s").evidence(WANTED, purpose="gate")


def test_a_table_that_is_too_slow_leaves_the_others_judged_and_its_job_is_cancelled(stub: Stub) -> None:
    # Given
    stub.ends = lambda sql: "`nba`.`two`" not in sql

    # When
    with soon():
        answers = warehouse(stub.address, query_timeout="1s").evidence(WANTED, purpose="gate")

    # Then
    assert answers["two", DAY] == Evidence(error="nba.two: BigQuery did not answer within 1 s")
    assert answers["one", DAY] == answers["three", DAY] == Evidence()
    assert len(stub.cancelled) == 2, "the job about all tables, and the one about this one"
    assert all(identity.startswith("backfilld-") for identity in stub.cancelled)


def test_a_warehouse_where_every_table_is_too_slow_is_no_answer_for_anyone(stub: Stub) -> None:
    stub.ends = lambda sql: False
    with soon(), pytest.raises(WarehouseError, match=r"none of 3 tables.*not answer within 1 s"):
        warehouse(stub.address, query_timeout="1s").evidence(WANTED, purpose="gate")


def test_a_job_that_the_server_ended_for_its_length_leaves_the_others_judged(stub: Stub) -> None:
    # Given
    def stop(sql: str) -> None:
        if "`nba`.`one`" in sql:
            raise refuse(499, "stopped", "Job execution was cancelled: Job timed out after 30s")

    stub.on_query = stop

    # Then
    answers = warehouse(stub.address).evidence(WANTED, purpose="gate")
    assert {name for (name, _), found in answers.items() if found.error} == {"one"}
    assert "timed out" in answers["one", DAY].error
    assert UNTIL_CORRECTED not in answers["one", DAY].error


def test_a_dataset_in_another_place_leaves_the_others_judged(stub: Stub) -> None:
    # Given
    def look(sql: str) -> None:
        if "`nba`.`three`" in sql:
            raise refuse(404, "notFound", "Not found: Dataset p:nba was not found in location us-west2")

    stub.on_query = look

    # Then
    answers = warehouse(stub.address).evidence(WANTED, purpose="gate")
    assert {name for (name, _), found in answers.items() if found.error} == {"three"}
    assert "not found in location us-west2; create it, or correct" in answers["three", DAY].error


def test_a_table_that_is_denied_leaves_the_others_judged(stub: Stub) -> None:
    # Given
    def deny(sql: str) -> None:
        if "`nba`.`two`" in sql:
            raise refuse(403, "accessDenied", DENIED)

    stub.on_query = deny

    # Then
    assert warehouse(stub.address).evidence(WANTED, purpose="gate") == {
        ("one", DAY): Evidence(),
        ("two", DAY): Evidence(error=f"nba.two: {DENIED}; {GRANT}; {UNTIL_CORRECTED}"),
        ("three", DAY): Evidence(),
    }


def test_a_table_beyond_its_bytes_leaves_the_others_judged(stub: Stub) -> None:
    # Given a limit that belongs to the query that names the table, and that its job ends with
    told = "Query exceeded limit for bytes billed: 1073741824. 1084227584 or higher required."
    stub.fails = lambda sql: (
        {"reason": "bytesBilledLimitExceeded", "message": told} if "`nba`.`three`" in sql else None
    )

    # Then
    answers = warehouse(stub.address).evidence(WANTED, purpose="gate")
    assert [name for (name, _), found in answers.items() if found.error] == ["three"]
    assert (
        answers["three", DAY].error == f"nba.three: {told} Raise warehouse.bytes_per_table; {UNTIL_CORRECTED}"
    )


NOBODY = {
    "an account that may not ask": refuse(
        403, "accessDenied", "Access Denied: Project p: User does not have bigquery.jobs.create permission"
    ),
    "a project that is not there": refuse(404, "notFound", "Not found: Project p"),
    "a place where none of the datasets is": refuse(
        404, "notFound", "Not found: Dataset p:nba was not found in location US"
    ),
    "an account that may see nothing": refuse(403, "accessDenied", DENIED),
    "a rate limit": refuse(403, "rateLimitExceeded", "Exceeded rate limits: too many concurrent queries"),
    "a rate limit of jobs, with a 400 all the same": refuse(
        400, "jobRateLimitExceeded", "Job exceeded rate limits: Your project exceeded quota for queries"
    ),
    "a server error": refuse(500, "internalError", "An internal error occurred"),
    "no BigQuery at all": Answer(404, "<html>nothing here</html>"),
    "no JSON": Answer(200, "<html>welcome</html>"),
}


@pytest.mark.parametrize("case", NOBODY)
def test_a_warehouse_that_answers_nobody_is_no_answer_for_anyone(stub: Stub, case: str) -> None:
    # Given
    def fail(_: str) -> None:
        raise NOBODY[case]

    stub.on_query = fail

    # Then
    with soon(), pytest.raises(WarehouseError) as raised:
        warehouse(stub.address).evidence(WANTED, purpose="gate")
    assert raised.value.retry_at is None


@pytest.mark.parametrize(("hour", "later"), [(12, 13), (7.5, 8)])
def test_a_spent_quota_is_asked_about_in_an_hour_or_when_days_begin_anew(
    stub: Stub, hour: float, later: float
) -> None:
    # Given a day that begins anew at midnight in Los Angeles, eight hours behind in December
    def spent(_: str) -> None:
        raise refuse(
            403, "quotaExceeded", "Quota exceeded: Your project exceeded quota for query usage per day"
        )

    stub.on_query = spent

    # Then
    with pytest.raises(WarehouseError, match="Quota exceeded") as raised:
        warehouse(stub.address, now=DAWN + 3600 * hour).evidence(WANTED, purpose="gate")
    assert raised.value.retry_at == DAWN + 3600 * later
    assert len(stub.jobs) == 1
