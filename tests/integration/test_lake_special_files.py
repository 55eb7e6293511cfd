"""A FIFO, a device or a socket in a lake: it is named, its date alone is unknown, no query waits for it."""

import os
import shutil
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backfilld.daemon.preflight.findings import FindingStatus
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.lake import backend
from backfilld.daemon.warehouses.lake.hung_queries import MAX_HUNG, HungQueries
from backfilld.daemon.warehouses.lake.hung_queries import REMEDY as MOUNT_REMEDY
from backfilld.daemon.warehouses.lake.regular_files import REMEDY
from backfilld.daemon.warehouses.sql import duckdb_session
from backfilld.state.rules.evidence import UNTIL_CORRECTED
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, LakeHouse

OTHER_DAY = DAY.replace(day=DAY.day + 1)
BOX = phase("raw", processor("box", date_column="game_date", expect={"quality": {"where": "game_id > ''"}}))


def listening(path: Path) -> None:
    """A socket, by a name that is short enough for one."""
    short = Path("/tmp", f"backfilld-{os.getpid()}.socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(short))
    shutil.move(short, path)


def link_to_fifo(path: Path) -> None:
    target = path.with_name("_target")
    os.mkfifo(target)
    path.symlink_to(target)


SPECIAL: dict[str, tuple[Callable[[Path], None], str]] = {
    "a FIFO": (os.mkfifo, "a FIFO"),
    "a link to a FIFO": (link_to_fifo, "a FIFO"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "a socket": (listening, "a socket"),
}


@pytest.fixture
def house(lake_house: LakeHouse) -> LakeHouse:
    for date in (DAY, OTHER_DAY):
        lake_house.put("nba.box", [{"game_date": date, "game_id": "a"}])
    return lake_house


@pytest.mark.parametrize("kind", SPECIAL)
def test_a_special_file_makes_its_own_date_unknown_and_is_named_with_the_remedy(
    house: LakeHouse, kind: str
) -> None:
    create, words = SPECIAL[kind]
    path = house.root / "nba" / "box" / f"game_date={DAY}" / "x.parquet"
    create(path)

    answers = house.open(BOX, history=None).evidence({"box": [DAY, OTHER_DAY]}, purpose="gate")

    assert answers["box", DAY].error == f"nba.box: {path} is {words}, not a file; {REMEDY}; {UNTIL_CORRECTED}"
    assert (answers["box", OTHER_DAY].error, answers["box", OTHER_DAY].rows) == ("", 1)


def test_a_special_file_without_an_ending_is_no_file_of_rows(house: LakeHouse) -> None:
    os.mkfifo(house.root / "nba" / "box" / f"game_date={DAY}" / "lock")

    answers = house.open(BOX, history=None).evidence({"box": [DAY]}, purpose="gate")

    assert (answers["box", DAY].error, answers["box", DAY].rows) == ("", 1)


def test_a_special_file_elsewhere_keeps_no_column_of_its_table_from_being_found(house: LakeHouse) -> None:
    # Given a column that the files of the queried date do not have, and a FIFO as the table's newest file
    house.put("nba.box", [{"game_date": OTHER_DAY, "game_id": "b", "minutes": 7}])
    os.mkfifo(house.root / "nba" / "box" / f"game_date={OTHER_DAY}" / "x.parquet")
    box = phase(
        "raw", processor("box", date_column="game_date", expect={"quality": {"where": "minutes IS NULL"}})
    )

    warehouse = house.open(box, history=None)

    assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].error == ""
    described = warehouse.catalog.describe("nba.box")
    assert described
    assert "game_id" in described.columns


def test_a_special_file_of_a_table_that_a_calendar_reads_is_named(house: LakeHouse) -> None:
    path = house.root / "nba" / "schedule" / "x.parquet"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    query = "SELECT game_date AS date, 1 AS games FROM nba.schedule WHERE game_date BETWEEN @start AND @end"
    warehouse = house.open(BOX, history=None, calendar={"query": query})
    with pytest.raises(Exception, match=f"{path} is a FIFO, not a file"):
        warehouse.counts(DAY, DAY)


def test_preflight_names_special_files_with_the_remedy(house: LakeHouse) -> None:
    path = house.root / "nba" / "box" / f"game_date={DAY}" / "x.parquet"
    os.mkfifo(path)
    (check,) = house.open(BOX, history=None).catalog.preflight_checks()

    findings = [*check.run(cast("Any", SimpleNamespace(pipeline=house.pipeline(BOX, history=None))))]

    assert [(one.status, one.line, one.hint) for one in findings] == [
        (FindingStatus.FAIL, f"nba.box: {path} is a FIFO, not a file", REMEDY)
    ]


@pytest.mark.parametrize("place", ["nba", "nba/other"])
def test_preflight_names_a_file_in_the_place_of_a_table_and_checks_the_other_tables(
    house: LakeHouse, place: str
) -> None:
    # Given a file where the directory of a table, or of its dataset, belongs
    path = house.root / place
    if path.exists():
        shutil.rmtree(path)
    path.write_text("x")
    other = processor("other", table="nba.other", date_column="game_date")
    tables = phase("raw", other, processor("box", date_column="day"))
    (check,) = house.open(tables, history=None).catalog.preflight_checks()

    found = [*check.run(cast("Any", SimpleNamespace(pipeline=house.pipeline(tables, history=None))))]

    first = ("nba.other", f"{path} is a file, not a directory", "remove it")
    assert (found[0].line, found[0].hint) == (f"{first[0]}: {first[1]}", first[2])
    assert [finding.line.split(":")[0] for finding in found] == ["nba.other", "nba.box"]


def test_a_query_that_cannot_be_interrupted_is_abandoned_and_other_tables_are_answered(
    house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a file whose opening does not return, as on a network mount that does not answer
    monkeypatch.setattr(duckdb_session, "INTERRUPT_SECONDS", 0.1)
    monkeypatch.setattr(backend, "require_regular_files", lambda files: None)
    fifo = house.root / "nba" / "stuck" / f"game_date={DAY}" / "x.parquet"
    fifo.parent.mkdir(parents=True)
    os.mkfifo(fifo)
    stuck = processor("stuck", table="nba.stuck", date_column="game_date")
    box = processor("box", date_column="game_date")
    source = {"query_timeout": "0.5s"}
    warehouse = house.open(phase("raw", stuck, box), history=None, warehouse=source)

    def errors() -> tuple[str, str]:
        answers = warehouse.evidence({"stuck": [DAY], "box": [DAY]}, purpose="gate")
        return answers["stuck", DAY].error, answers["box", DAY].error

    # Then its own table says so, and is not queried again while it hangs
    hangs = "nba.stuck: no answer within 0.5 s, and the query cannot be interrupted"
    assert errors() == (hangs, "")
    assert errors() == (f"nba.stuck: an earlier query of the same files hangs; {MOUNT_REMEDY}", "")

    # When the mount answers again, so does the table, and the lake can be closed meanwhile
    warehouse.close()
    fifo.rename(fifo.with_name("_removed"))
    for _ in range(4):  # readers of the FIFO
        with suppress(OSError):
            os.close(os.open(fifo.with_name("_removed"), os.O_WRONLY | os.O_NONBLOCK))
    assert errors() == ("", "")


def test_a_calendar_of_files_that_do_not_answer_is_refused_and_hangs_once(
    house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given SQL of the pipeline file, whose tables DuckDB opens before it has the query
    monkeypatch.setattr(duckdb_session, "INTERRUPT_SECONDS", 0.1)
    monkeypatch.setattr(backend, "require_regular_files", lambda files: None)
    fifo = house.root / "nba" / "schedule" / "x.parquet"
    fifo.parent.mkdir(parents=True)
    os.mkfifo(fifo)
    query = "SELECT game_date AS date, 1 AS games FROM nba.schedule WHERE game_date BETWEEN @start AND @end"
    source = {"query_timeout": "0.5s"}
    warehouse = house.open(BOX, history=None, calendar={"query": query}, warehouse=source)

    for error in ("no answer within 0.5 s, and the query", "an earlier query of the same files hangs"):
        with pytest.raises(WarehouseError, match=error):
            warehouse.counts(DAY, DAY)

    for _ in range(4):  # readers of the FIFO
        with suppress(OSError):
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


def test_no_further_query_is_sent_where_too_many_hang() -> None:
    ends = threading.Event()
    hung = HungQueries()
    for number in range(MAX_HUNG):
        thread = threading.Thread(target=ends.wait, daemon=True)
        thread.start()
        hung.add(thread, [f"{number}.parquet"], None)
    with pytest.raises(WarehouseError, match=f"{MAX_HUNG} queries of the lake hang; {MOUNT_REMEDY}"):
        hung.require_none(["other.parquet"])
    ends.set()
    thread.join()
    hung.require_none(["other.parquet"])
