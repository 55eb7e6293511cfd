"""What is particular to a DuckDB file: one writer at a time, whose file the daemon never locks."""

import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from backfilld.daemon.warehouses.adapter import Purpose, WarehouseError
from backfilld.daemon.warehouses.duckdb import snapshot
from backfilld.daemon.warehouses.duckdb.snapshot import Snapshots
from backfilld.daemon.warehouses.sql import duckdb_session
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.evidence import Evidence
from tests.conformance.builders import box, rows
from tests.integration.duckdb_house import DuckDBHouse
from tests.integration.warehouses import DAY

WRITER = """
import os, sys
import duckdb
connection = duckdb.connect(sys.argv[1])
for line in sys.stdin:
    if line == "die\\n":
        os._exit(9)
    connection.execute(line)
    print("done", flush=True)
connection.close()
"""
GATE: Purpose = "gate"


class Writer:
    """A job that keeps the file open and writes what it is handed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid = process.pid
        self._process = process

    def execute(self, statement: str) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(statement + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def die(self) -> None:
        self._process.communicate("die\n")


@contextlib.contextmanager
def writer(file: Path) -> Iterator[Writer]:
    command = [sys.executable, "-c", WRITER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        job = Writer(process)
        job.execute("SELECT 1")  # it has the file open
        yield job
        with contextlib.suppress(ValueError):  # closed by `die`
            process.communicate()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DuckDBHouse]:
    """A file with a table of two rows, whose lock is not waited for."""
    monkeypatch.setattr(snapshot, "LOCK_WAIT", 0.0)
    house = DuckDBHouse(tmp_path)
    house.put("nba.box", rows(2))
    yield house
    house.close()


def evidence(warehouse: Any) -> Evidence:
    found: Evidence = warehouse.evidence({"box": [DAY]}, purpose=GATE)["box", DAY]
    return found


def test_a_job_can_write_the_file_while_a_query_of_it_is_under_way(house: DuckDBHouse) -> None:
    snapshots = Snapshots(house.file)
    with snapshots.cursor() as cursor:
        with writer(house.file) as job:
            job.execute("DELETE FROM nba.box")
            job.execute("CHECKPOINT")
        assert cursor.execute("SELECT count(*) FROM nba.box").fetchall() == [(2,)]
    with snapshots.cursor() as cursor:
        assert cursor.execute("SELECT count(*) FROM nba.box").fetchall() == [(0,)]
    snapshots.close()


def test_a_file_that_a_job_has_changed_is_read_anew_while_a_query_of_its_state_before_is_under_way(
    house: DuckDBHouse,
) -> None:
    snapshots = Snapshots(house.file)
    many = "range(3000000) AS a (x), range(3000000) AS b (y)"
    with snapshots.cursor() as before:

        def count() -> None:
            with contextlib.suppress(duckdb.InterruptException):
                before.execute(f"SELECT count(*) FROM nba.box, {many} WHERE x * y % 7 = 3")

        query = threading.Thread(target=count)
        query.start()
        with writer(house.file) as job:
            job.execute("DELETE FROM nba.box")
        try:
            with snapshots.cursor() as now:
                assert now.execute("SELECT count(*) FROM nba.box").fetchall() == [(0,)]
            assert query.is_alive()
        finally:
            before.interrupt()
            query.join()
    snapshots.close()


def test_a_file_that_a_job_has_changed_waits_until_the_job_has_closed_it(house: DuckDBHouse) -> None:
    warehouse = house.open(box(), history=None)
    assert evidence(warehouse).rows == 2
    with writer(house.file) as job:
        assert evidence(warehouse).rows == 2  # an open file that nothing was written to
        job.execute(f"INSERT INTO nba.box VALUES (DATE '{DAY}', 'g3')")
        sentence = f"is being written by process {job.pid}, and cannot be read until that closes it"
        with pytest.raises(WarehouseError, match=sentence):
            evidence(warehouse)
    assert evidence(warehouse).rows == 3
    assert house.errors == 1


def test_what_a_job_committed_before_it_was_killed_counts(house: DuckDBHouse) -> None:
    with writer(house.file) as job:
        job.execute(f"INSERT INTO nba.box VALUES (DATE '{DAY}', 'g3')")
        job.execute("BEGIN")
        job.execute(f"INSERT INTO nba.box VALUES (DATE '{DAY}', 'g4')")
        job.die()
    assert house.file.with_name(f"{house.file.name}.wal").exists()
    assert evidence(house.open(box(), history=None)).rows == 3


def test_a_file_that_is_replaced_by_another_is_read_anew(house: DuckDBHouse, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    other = DuckDBHouse(tmp_path / "new")
    other.put("nba.box", rows(5))
    warehouse = house.open(box(), history=None)
    assert evidence(warehouse).rows == 2
    other.file.replace(house.file)
    assert evidence(warehouse).rows == 5


def test_a_file_that_changes_during_each_copy_is_not_read(
    house: DuckDBHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copyfile

    def while_it_is_written(source: Path, target: Path) -> None:
        copy(source, target)
        house.run("CREATE OR REPLACE TABLE nba.other AS SELECT random() AS x")

    monkeypatch.setattr(shutil, "copyfile", while_it_is_written)
    with pytest.raises(WarehouseError, match="changes faster than it can be copied"):
        evidence(house.open(box(), history=None))


def test_a_log_that_a_job_removes_during_the_copy_is_no_outage(
    house: DuckDBHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a log beside the file, which the job's last checkpoint removes just before it is copied
    log, copy = house.file.with_name(f"{house.file.name}.wal"), shutil.copyfile
    log.touch()

    def as_a_job_ends(source: Path, target: Path) -> None:
        if source == log:
            log.unlink(missing_ok=True)
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", as_a_job_ends)
    monkeypatch.setattr(snapshot, "LOCK_WAIT", 5.0)
    assert evidence(house.open(box(), history=None)).rows == 2
    assert not log.exists()


def test_a_file_that_does_not_exist_is_named_with_what_creates_it(house: DuckDBHouse) -> None:
    warehouse = house.open(box(), history=None)
    house.file.unlink()
    with pytest.raises(
        WarehouseError, match=r"platform\.duckdb does not exist; create it .* by a run of a job"
    ):
        evidence(warehouse)


def test_a_log_that_vanishes_between_its_listing_and_its_facts_is_no_outage(
    house: DuckDBHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = house.file.with_name(f"{house.file.name}.wal")
    monkeypatch.setattr(Path, "glob", lambda *_: iter([gone]))
    assert evidence(house.open(box(), history=None)).rows == 2


def test_a_missing_directory_of_temporary_files_is_not_called_a_missing_file(
    house: DuckDBHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(house.file.parent / "absent"))
    with pytest.raises(WarehouseError, match=r"platform\.duckdb cannot be read: .*/absent/"):
        evidence(house.open(box(), history=None))


def test_no_copy_is_left_behind(house: DuckDBHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    assert evidence(house.open(box(), history=None)).rows == 2
    assert [*(tmp_path / "temporary").iterdir()] == []


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("EXISTS (SELECT 1 FROM read_csv('{secret}'))", "Permission Error"),
        ("EXISTS (SELECT 1 FROM nope.nope)", "nope"),
    ],
)
def test_a_predicate_reads_nothing_beside_the_file(
    house: DuckDBHouse, tmp_path: Path, where: str, problem: str
) -> None:
    (tmp_path / "secret.csv").write_text("key\nhidden\n")
    rule = {"where": where.format(secret=tmp_path / "secret.csv")}
    assert problem in evidence(house.open(box(quality=rule), history=None)).error


def test_sql_of_the_file_cannot_write(house: DuckDBHouse, tmp_path: Path) -> None:
    for query in (
        "DELETE FROM nba.box RETURNING game_date AS date, 1 AS games",
        f"COPY nba.box TO '{tmp_path}/stolen.csv'",
        f"ATTACH '{tmp_path}/other.duckdb' AS other",
    ):
        with pytest.raises(PipelineError, match=r"calendar\.query: is no query"):
            house.open(box(), calendar={"query": query})
        with Snapshots(house.file).cursor() as cursor, pytest.raises(duckdb.Error):
            cursor.execute(query)
    assert house.run("SELECT count(*) FROM nba.box") == [(2,)]
    assert not [*tmp_path.glob("stolen*"), *tmp_path.glob("other*")]


def test_a_query_that_is_not_interrupted_in_time_is_said_to_be(
    house: DuckDBHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_session, "INTERRUPT_SECONDS", 0.0)
    slow = (
        "SELECT game_date AS date, COUNT(*) AS games FROM nba.box,"
        " range(3000000) AS a (x), range(3000000) AS b (y) WHERE x * y % 7 = 3 GROUP BY 1"
    )
    warehouse = house.open(box(), warehouse={"query_timeout": "0.2s"}, calendar={"query": slow})
    with pytest.raises(WarehouseError, match=r"no answer within 0\.2 s, and the query cannot be interrupted"):
        warehouse.counts(DAY, DAY)


def test_views_that_name_their_database_are_read(house: DuckDBHouse) -> None:
    """As dbt makes them: `"platform"."nba"."box"`."""
    house.run("ALTER TABLE nba.box RENAME TO kept")
    house.run('CREATE VIEW nba.box AS SELECT * FROM "platform"."nba"."kept"')
    warehouse = house.open(box(), history=None)
    assert evidence(warehouse).rows == 2
    info = warehouse.catalog.describe("platform.nba.box")
    assert info is not None
    assert info.columns == {"game_date", "game_id"}


def test_a_file_of_another_kind_is_named(house: DuckDBHouse) -> None:
    house.file.write_text("not a database")
    with pytest.raises(WarehouseError, match=r"platform\.duckdb cannot be read: .*; check warehouse\.file"):
        evidence(house.open(box(), history=None))


def test_preflight_fails_without_room_for_a_copy(house: DuckDBHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def findings() -> list[tuple[str, str]]:
        (check,) = house.open(box()).catalog.preflight_checks()
        return [(finding.status, finding.hint) for finding in check.run(None)]  # type: ignore[arg-type]

    assert findings() == [("pass", "")]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    assert findings() == [("fail", "free space, or name another directory by TMPDIR")]
