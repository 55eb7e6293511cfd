"""What is particular to BigQuery: what a job is told, what it costs, and who may not see what."""

import contextlib
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient
from backfilld.state.rules.evidence import Evidence
from tests.factories import phase, pipeline, processor
from tests.integration.bigquery_stub import TOKEN, Stub, serving
from tests.integration.warehouses import DAY, HISTORY, BigQueryHouse

MEBIBYTE = 1 << 20
NOON = dt.datetime(2025, 12, 1, 12, tzinfo=dt.UTC).timestamp()
BOX = phase("raw", processor("box", date_column="game_date"))


@pytest.fixture
def stub() -> Iterator[Stub]:
    """BigQuery's API, scripted."""
    with serving(Stub()) as server:
        yield server


class Asked:
    """A warehouse over the stub, what it tells of its queries, and its clock."""

    def __init__(self, stub: Stub, *phases: Any, **source: Any) -> None:
        self.now = NOON
        self.queries: list[tuple[str, int]] = []
        keys = {"kind": "bigquery", "project": "p", "endpoint": stub.address, **source}
        self.warehouse: WarehouseClient = open_warehouse(
            pipeline(*(phases or (BOX,)), warehouse=keys, history=None),
            on_query=lambda purpose, billed: self.queries.append((purpose, billed)),
            on_error=lambda: None,
            now=lambda: self.now,
        )

    def __call__(self) -> Evidence:
        return self.warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY]


def test_a_job_carries_its_limits_its_labels_and_its_place(stub: Stub) -> None:
    # Given
    twins = [processor(name, date_column="game_date") for name in ("box", "summary")]
    asked = Asked(stub, phase("raw", *twins), location="us-west2", query_timeout="90s", bytes_per_table=1000)

    # When
    asked.warehouse.evidence({"box": [DAY], "summary": [DAY]}, purpose="Gate / recheck")

    # Then
    (job,) = stub.jobs
    assert job["labels"] == {"app": "backfilld", "pipeline": "nba", "purpose": "gate---recheck"}
    assert job["jobTimeoutMs"] == "90000"
    assert job["query"]["maximumBytesBilled"] == "2000"
    assert job["query"]["useQueryCache"] is True
    assert job["query"]["useLegacySql"] is False
    assert stub.references[0]["location"] == "us-west2"


def test_dates_are_parameters_and_never_text(stub: Stub) -> None:
    # Given dates of which some are far apart
    later = DAY + dt.timedelta(days=100)

    # When
    Asked(stub).warehouse.evidence({"box": [DAY, later]}, purpose="gate")

    # Then
    (job,) = stub.jobs
    assert "20" not in job["query"]["query"]
    types = {
        parameter["name"]: parameter["parameterType"].get("arrayType", parameter["parameterType"])["type"]
        for parameter in job["query"]["queryParameters"]
    }
    assert types == {"start0": "DATE", "end0": "DATE", "dates0": "DATE"}


def test_bytes_billed_are_told_by_purpose(stub: Stub) -> None:
    stub.billed = 20 * MEBIBYTE
    asked = Asked(stub)
    assert asked() == Evidence()
    assert asked.queries == [("gate", 20 * MEBIBYTE)]


def test_a_spent_day_asks_nothing_until_midnight(stub: Stub) -> None:
    # Given a budget of one and a half questions
    stub.billed = 20 * MEBIBYTE
    asked = Asked(stub, daily_bytes=30 * MEBIBYTE)
    asked()
    asked()

    # When
    with pytest.raises(WarehouseError, match=r"daily_bytes is spent") as raised:
        asked()

    # Then no third question was sent, and the next day has its own budget
    assert len(stub.jobs) == 2
    assert raised.value.retry_at == dt.datetime(2025, 12, 2, 8, tzinfo=dt.UTC).timestamp()
    asked.now = raised.value.retry_at
    assert asked() == Evidence()


def test_the_price_is_the_dry_runs_figure_and_at_least_the_minimum(stub: Stub) -> None:
    # Given
    asked = Asked(stub)
    wanted = {"box": [DAY]}

    # Then
    assert asked.warehouse.estimate_bytes(wanted) == 10 * MEBIBYTE
    stub.processed = 700 * MEBIBYTE
    assert asked.warehouse.estimate_bytes(wanted) == 700 * MEBIBYTE
    assert asked.warehouse.estimate_bytes({}) == 0
    assert [job["dryRun"] for job in stub.jobs] == [True, True]
    assert asked.queries == []


def test_the_price_counts_every_table_and_the_history(bigquery_house: BigQueryHouse) -> None:
    bigquery_house.put("nba.box", [{"game_date": DAY}])
    row = {"processor_name": "box", "data_date": DAY, "run_id": "r", "status": "success", "errors": None}
    times = {name: dt.datetime(2025, 12, 1, tzinfo=dt.UTC) for name in ("started_at", "processed_at")}
    bigquery_house.put(HISTORY, [{**row, **times}], by="data_date")
    assert bigquery_house.open(BOX).estimate_bytes({"box": [DAY]}) == 20 * MEBIBYTE


@pytest.mark.parametrize("table", ["nba.nowhere", "nowhere.box"])
def test_a_table_that_cannot_be_seen_leaves_the_others_judged(
    bigquery_house: BigQueryHouse, table: str
) -> None:
    # Given
    bigquery_house.put("nba.box", [{"game_date": DAY}])
    ghost = processor("ghost", table=table, date_column="game_date")
    both = phase("raw", ghost, processor("box", date_column="game_date"))

    # When
    warehouse = bigquery_house.open(both, history=None)
    answers = warehouse.evidence({"ghost": [DAY], "box": [DAY]}, purpose="gate")

    # Then
    assert answers["ghost", DAY].error.startswith(f"{table}: ")
    assert answers["box", DAY] == Evidence(rows=1)


def test_a_table_of_another_project_is_asked_by_its_full_name(bigquery_house: BigQueryHouse) -> None:
    bigquery_house.put("nba.box", [{"game_date": DAY}])
    far = phase("raw", processor("far", table=f"{bigquery_house.project}.nba.box", date_column="game_date"))
    warehouse = bigquery_house.open(far, history=None)
    assert warehouse.evidence({"far": [DAY]}, purpose="gate")["far", DAY] == Evidence(rows=1)


def test_threads_ask_side_by_side(bigquery_house: BigQueryHouse) -> None:
    # Given
    bigquery_house.put("nba.box", [{"game_date": DAY}])
    warehouse = bigquery_house.open(BOX, history=None)

    # When
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: warehouse.evidence({"box": [DAY]}, purpose="gate"), range(8)))

    # Then
    assert [answers["box", DAY].rows for answers in found] == [1] * 8


def test_a_credentials_file_that_cannot_be_used_is_named(stub: Stub, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    asked = Asked(stub, credentials_file=str(key))
    with pytest.raises(WarehouseError, match=r"warehouse\.credentials_file .*key\.json"):
        asked()
    key.write_text("{}")
    with pytest.raises(WarehouseError, match=r"warehouse\.credentials_file .*key\.json"):
        asked()


def key_file(folder: Path, stub: Stub) -> Path:
    """A service account's key, whose tokens the stub gives out."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    told = {"type": "service_account", "client_email": "ours@p.iam.gserviceaccount.com", "private_key": pem}
    path = folder / "key.json"
    path.write_text(json.dumps({**told, "project_id": "p", "token_uri": f"{stub.address}/token"}))
    return path


def test_a_key_file_signs_every_request(stub: Stub, tmp_path: Path) -> None:
    asked = Asked(stub, credentials_file=str(key_file(tmp_path, stub)))
    assert asked() == Evidence()
    assert stub.authorized == [None, *[f"Bearer {TOKEN}"] * (len(stub.authorized) - 1)]
    assert len(stub.authorized) >= 3, "a token, a job, its answer"


def test_what_googles_libraries_find_signs_every_request(
    stub: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Given nothing in the pipeline file, and the environment of somebody who signed in
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key_file(tmp_path, stub)))
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", stub.address)  # so that it is not Google who is asked
    # Then
    assert Asked(stub, endpoint=None)() == Evidence()
    assert stub.authorized[1:] == [f"Bearer {TOKEN}"] * (len(stub.authorized) - 1)


def test_an_emulator_is_asked_without_credentials(stub: Stub) -> None:
    assert Asked(stub)() == Evidence()
    assert set(stub.authorized) == {None}


def test_two_requests_differ_in_their_parameters_and_never_in_their_text(stub: Stub) -> None:
    # Given a platform with a calendar, tables and a run history, all asked in SQL
    days = {"query": "SELECT d AS date, n AS games FROM nba.days WHERE d BETWEEN @start AND @end"}
    source = {"kind": "bigquery", "project": "p", "endpoint": stub.address}
    ours = pipeline(BOX, warehouse=source, calendar=days)
    warehouse = open_warehouse(ours, on_query=lambda *_: None, on_error=lambda: None)

    def texts(first: dt.date) -> list[str]:
        stub.jobs.clear()
        last = first + dt.timedelta(days=5)
        with contextlib.suppress(WarehouseError):  # the stub's answer has no date and no count
            warehouse.counts(first, last)
        warehouse.evidence({"box": [first, last]}, purpose="gate")
        return [job["query"]["query"] for job in stub.jobs]

    # Then
    assert texts(DAY) == texts(dt.date(1999, 12, 31))
    assert len(stub.jobs) == 3
    assert all(job["query"]["queryParameters"] for job in stub.jobs)


def test_without_credentials_there_is_no_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Given a machine that nobody signed in
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)

    # Then
    with pytest.raises(WarehouseError, match="credentials"):
        Asked(Stub(), endpoint=None)()


def test_each_warehouse_pays_for_its_own_imports() -> None:
    """Google's client takes longer to import than a small lake to read, and DuckDB is of no use to it."""
    script = (
        "import sys; from tests.factories import pipeline, phase, processor;"
        "from backfilld.daemon.warehouses.open_warehouse import open_warehouse;"
        "key = {'lake': 'path', 'bigquery': 'project'}[sys.argv[1]];"
        "source = {'kind': sys.argv[1], key: 'p'};"
        "ours = pipeline(phase('raw', processor('box')), warehouse=source);"
        "open_warehouse(ours, on_query=print, on_error=print);"
        "print('duckdb' in sys.modules, 'google.cloud.bigquery' in sys.modules)"
    )
    for kind, expected in (("lake", "True False"), ("bigquery", "False True")):
        told = subprocess.run(
            [sys.executable, "-c", script, kind], capture_output=True, text=True, check=True
        )
        assert told.stdout.strip() == expected
