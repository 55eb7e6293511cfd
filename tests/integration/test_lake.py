"""What is particular to the lake: files that come and go, directories that are not there, threads."""

import datetime as dt
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.lake import layout, sql_compiler
from backfilld.daemon.warehouses.lake.backend import Lake
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, LakeHouse
from tests.scratch_duckdb import scratch

BOX = phase(
    "raw",
    processor("box", date_column="game_date", expect={"distinct": [{"column": "game_id", "per": "games"}]}),
)


@pytest.fixture
def house(lake_house: LakeHouse) -> LakeHouse:
    """A lake with two rows of `box`."""
    lake_house.put("nba.box", [{"game_date": DAY, "game_id": "a"}, {"game_date": DAY, "game_id": "b"}])
    return lake_house


def partition(house: LakeHouse, date: dt.date = DAY) -> Path:
    """Where a date's rows of `box` lie."""
    return house.root / "nba" / "box" / f"game_date={date}"


def box(house: LakeHouse, *, history: object = None) -> Evidence:
    """What the lake says of `box`."""
    return house.open(BOX, history=history).evidence({"box": [DAY]}, purpose="gate")["box", DAY]


def test_a_table_that_nobody_wrote_yet_has_no_rows(lake_house: LakeHouse) -> None:
    history = {"table": "nba_reference.processor_run_history"}
    assert box(lake_house, history=history) == Evidence(distinct={"game_id": 0})
    assert lake_house.queries == []


def test_a_lake_that_is_not_there_answers_nothing(house: LakeHouse) -> None:
    shutil.rmtree(house.root)
    with pytest.raises(
        WarehouseError, match=r"there is no lake at .*/lake, or it may not be reached; make the directory"
    ):
        box(house)
    assert house.errors == 1


def test_a_file_that_cannot_be_read_spoils_its_own_date_alone(house: LakeHouse) -> None:
    # Given a week with rows, and a file on one of its days that is none
    week = [DAY + dt.timedelta(days=n) for n in range(7)]
    house.put("nba.box", [{"game_date": date, "game_id": "c"} for date in week])
    (partition(house, week[4]) / "part-x.parquet").write_bytes(b"not parquet")
    # When the week is asked about, and then that day alone
    warehouse = house.open(BOX, history=None)
    told = warehouse.evidence({"box": week}, purpose="gate")
    (alone,) = warehouse.evidence({"box": week[4:5]}, purpose="gate").values()
    # Then the others' rows are known, and the day says what is wrong with it
    assert [found.rows for found in told.values()] == [3, 1, 1, 1, 0, 1, 1]
    assert [date for (_, date), found in told.items() if found.error] == [week[4]]
    assert alone.error == told["box", week[4]].error
    assert "part-x.parquet" in alone.error
    assert alone.error.endswith(f"; write the file again, or remove it; {UNTIL_CORRECTED}")
    # And a column that no day has is asked for once, not day by day
    (partition(house, week[4]) / "part-x.parquet").unlink()
    house.queries.clear()
    other = phase(
        "raw",
        processor(
            "box", date_column="game_date", expect={"distinct": [{"column": "no_such", "per": "games"}]}
        ),
    )
    assert all(
        f.error for f in house.open(other, history=None).evidence({"box": week}, purpose="gate").values()
    )
    assert len(house.queries) == 1


@pytest.mark.parametrize("name", ["part-1.parquet.tmp", ".part-1.parquet", "_part-1.parquet", "part-1.csv"])
def test_files_that_are_not_finished_are_not_seen(house: LakeHouse, name: str) -> None:
    # Given a copy of what is there, and half a file
    (finished,) = partition(house).iterdir()
    shutil.copy(finished, partition(house) / name)
    (partition(house) / f"{name}.1").write_bytes(b"PAR1")

    # Then
    assert box(house).rows == 2


def test_a_partition_that_was_replaced_is_read_anew(house: LakeHouse) -> None:
    # Given a warehouse that has read the file
    warehouse = house.open(BOX, history=None)
    assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows == 2
    (old,) = partition(house).iterdir()
    before = old.stat()

    # When another takes its name and its time
    with scratch() as connection:
        connection.execute(f"COPY (SELECT 'c' AS game_id) TO '{partition(house)}/new' (FORMAT parquet)")
    os.replace(partition(house) / "new", old)
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))

    # Then
    assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows == 1


def test_a_file_that_is_no_parquet_breaks_its_table_and_no_other(house: LakeHouse) -> None:
    # Given
    (partition(house) / "part-9.parquet").write_bytes(b"not a Parquet file, although its name says so")
    house.put("nba.other", [{"game_date": DAY, "game_id": "a"}])
    both = phase(
        "raw", processor("box", date_column="game_date"), processor("other", date_column="game_date")
    )

    # When
    answers = house.open(both, history=None).evidence({"box": [DAY], "other": [DAY]}, purpose="gate")

    # Then
    assert "part-9.parquet" in answers["box", DAY].error
    assert answers["other", DAY] == Evidence(rows=1)


def test_a_partition_that_is_no_directory_is_an_error_and_not_absence(house: LakeHouse) -> None:
    shutil.rmtree(partition(house))
    partition(house).write_bytes(b"")
    assert f"nba.box: {partition(house)} is a file, not a directory; remove it" in box(house).error


def test_a_file_that_vanishes_between_listing_and_reading_is_looked_for_again(
    house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a job that replaces the partition's file just when it was listed
    listings: list[list[str]] = []

    def list_then_replace(directory: str) -> list[str]:
        files = listed(directory)
        listings.append(files)
        if len(listings) == 1:
            os.replace(files[0], Path(directory) / "part-new.parquet")
        return files

    listed = layout.finished_files
    monkeypatch.setattr(layout, "finished_files", list_then_replace)

    # Then
    assert box(house) == Evidence(rows=2, distinct={"game_id": 2})
    assert [len(files) for files in listings] == [1, 1]


def test_the_partitions_name_says_the_date_whatever_the_file_says(house: LakeHouse) -> None:
    # Given a file whose own date column is a text of another date
    wrong = partition(house, DAY + dt.timedelta(days=1))
    wrong.mkdir()
    with scratch() as connection:
        rows = "SELECT '1999-01-01' AS game_date, 'x' AS game_id"
        connection.execute(f"COPY ({rows}) TO '{wrong}/part-0.parquet' (FORMAT parquet)")

    # When
    warehouse = house.open(BOX, history=None)
    dates = [DAY, DAY + dt.timedelta(days=1)]
    answers = warehouse.evidence({"box": dates}, purpose="gate")

    # Then
    assert [answers["box", date].rows for date in dates] == [2, 1]


def test_columns_may_come_later_than_the_first_files(house: LakeHouse) -> None:
    # Given a newer file with a column more
    house.put("nba.box", [{"game_date": DAY, "game_id": "c", "pct": 99.0}])
    rules = {"quality": {"where": "pct > 95"}}
    later = phase("raw", processor("box", date_column="game_date", expect=rules))

    # Then the older rows have none
    found = house.open(later, history=None).evidence({"box": [DAY]}, purpose="gate")["box", DAY]
    assert (found.rows, found.passing_rows) == (3, 1)


def test_a_question_reads_the_files_of_its_dates_and_no_others(house: LakeHouse) -> None:
    # Given a neighbour that cannot be read
    house.put("nba.box", [{"game_date": DAY + dt.timedelta(days=1), "game_id": "z"}])
    neighbour = partition(house, DAY + dt.timedelta(days=1))
    for file in neighbour.iterdir():
        file.write_bytes(b"broken")

    # Then
    assert box(house).rows == 2


def test_threads_ask_side_by_side(house: LakeHouse) -> None:
    # Given one warehouse and more threads than DuckDB has
    warehouse = house.open(BOX, history=None)
    start = threading.Barrier(8)

    def ask(_: int) -> list[int]:
        start.wait()
        return [warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows for _ in range(5)]

    # When
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, range(8)))

    # Then
    assert found == [[2] * 5] * 8
    assert len(house.queries) == 40


def test_sql_is_carried_to_duckdb_once_for_all_dates(house: LakeHouse) -> None:
    # Given
    warehouse = house.open(BOX, history=None)
    warehouse.evidence({"box": [DAY]}, purpose="gate")
    before = sql_compiler.render.cache_info().misses

    # When
    for number in range(5):
        warehouse.evidence({"box": [DAY + dt.timedelta(days=number)]}, purpose="gate")

    # Then
    assert sql_compiler.render.cache_info().misses == before


def test_an_answer_that_takes_too_long_is_no_answer(lake_house: LakeHouse) -> None:
    # Given a query that takes much longer than a blink
    lake_house.put("nba.schedule", [{"game_date": DAY, "game_id": "a"}])
    slow = (
        "SELECT game_date AS date, COUNT(*) AS games FROM nba.schedule,"
        " range(3000000) AS a (x), range(3000000) AS b (y) WHERE x * y % 7 = 3 GROUP BY 1"
    )
    source = {"kind": "lake", "path": "lake", "query_timeout": "0.2s"}
    warehouse = lake_house.open(BOX, warehouse=source, calendar={"query": slow})

    # Then
    with pytest.raises(WarehouseError, match=r"did not answer within 0\.2 s"):
        warehouse.counts(DAY, DAY)


def test_a_predicate_reads_nothing_beside_the_lake(house: LakeHouse, tmp_path: Path) -> None:
    # Given a secret beside it
    (tmp_path / "secret.csv").write_text("key\nhidden\n")
    spy = {"quality": {"where": f"EXISTS (SELECT 1 FROM read_csv('{tmp_path}/secret.csv'))"}}
    spying = phase("raw", processor("box", date_column="game_date", expect=spy))

    # When
    found = house.open(spying, history=None).evidence({"box": [DAY]}, purpose="gate")["box", DAY]

    # Then
    assert "Permission Error" in found.error


def test_a_closed_lake_opens_again_when_it_is_asked(house: LakeHouse) -> None:
    warehouse = house.open(BOX, history=None)
    warehouse.evidence({"box": [DAY]}, purpose="gate")
    warehouse.close()
    assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows == 2


def test_reading_a_lake_is_free(house: LakeHouse) -> None:
    assert house.open(BOX).estimate_bytes({"box": [DAY]}) == 0


def test_the_lakes_path_is_relative_to_the_pipeline_file(
    house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert box(house).rows == 2
    assert isinstance(house.open(BOX)._backend, Lake)


# -------------------------------------------------------------------------------------- write stamps


def stamp(house: LakeHouse) -> str | None:
    """The write stamp of the date's partition."""
    wanted = {"box": [DAY]}
    answers = house.open(BOX, history=None).evidence(wanted, purpose="gate", stamps=wanted)
    return answers["box", DAY].write_stamp


def test_an_unfinished_write_is_no_write(house: LakeHouse) -> None:
    before = stamp(house)
    (partition(house, DAY) / ".part-0.parquet.7").write_bytes(b"half")
    (partition(house, DAY) / "_SUCCESS").touch()
    assert stamp(house) == before is not None


def test_a_file_that_is_added_renamed_or_removed_is_a_write(house: LakeHouse) -> None:
    seen = [stamp(house)]
    (file,) = partition(house, DAY).glob("*.parquet")
    second = file.with_name("part-z.parquet")
    second.write_bytes(file.read_bytes())
    seen.append(stamp(house))
    second.replace(file)
    seen.append(stamp(house))
    file.unlink()
    seen.append(stamp(house))
    assert None not in seen
    assert len(set(seen)) == 4


def test_a_file_that_vanishes_while_its_stamp_is_read_changes_it(
    house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stamp(house)
    gone = str(partition(house, DAY) / "gone.parquet")
    listed = layout.finished_files
    monkeypatch.setattr(layout, "finished_files", lambda directory: [*listed(directory), gone])
    assert stamp(house) not in (None, before)


def test_a_partition_that_may_not_be_listed_has_no_stamp(
    house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(directory: str) -> list[str]:
        raise PermissionError(13, "Permission denied", directory)

    monkeypatch.setattr(layout, "finished_files", denied)
    assert stamp(house) is None


def test_a_table_that_cannot_be_described_costs_no_other_table_its_stamps(house: LakeHouse) -> None:
    house.put("nba.torn", [{"game_date": DAY, "game_id": "a"}])
    for file in partition(house).parent.parent.joinpath("torn").rglob("*.parquet"):
        file.write_bytes(b"torn")
    torn = processor("torn", date_column="made_at", date_timezone="UTC")
    wanted = {"box": [DAY], "torn": [DAY]}
    both = phase("raw", processor("box", date_column="game_date"), torn)
    answers = house.open(both, history=None).evidence(wanted, purpose="gate", stamps=wanted)
    assert answers["box", DAY].write_stamp is not None
    assert (answers["torn", DAY].write_stamp, bool(answers["torn", DAY].error)) == (None, True)
