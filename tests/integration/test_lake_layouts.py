"""Where the files of a lake may lie, and what is said of files that no date leads to."""

import datetime as dt
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import pytest
from arro3.core import Table
from deltalake import DeltaTable, write_deltalake

from backfilld.daemon.preflight.findings import Finding
from backfilld.daemon.preflight.tables import _missing_columns
from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.warehouses.lake import delta
from backfilld.daemon.warehouses.lake.table_metadata import _layout_findings
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from tests.factories import Table as Keys
from tests.factories import phase, processor
from tests.integration.warehouses import LakeHouse
from tests.scratch_duckdb import scratch

DAY, NEXT = dt.date(2024, 3, 1), dt.date(2024, 3, 2)
BOX = phase(
    "raw",
    processor(
        "box",
        date_column="date",
        expect={"unique": {"columns": ["date", "id"]}, "quality": {"where": "id > 0"}},
    ),
)


@pytest.fixture
def write(lake_house: LakeHouse) -> Callable[..., Path]:
    """Writes a file of `nba.box` with so many rows: `write("date=2024-03-01/part-0.parquet", 2)`."""

    def written(name: str, rows: int = 1, select: str = "n + 1 AS id, 'x' AS s") -> Path:
        path = lake_house.root / "nba" / "box" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch() as connection:
            query = f"SELECT {select} FROM range({rows}) AS r (n)"
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return path

    return written


def evidence(house: LakeHouse, *dates: dt.date) -> Mapping[dt.date, Evidence]:
    answers = house.open(BOX, history=None).evidence({"box": dates or (DAY, NEXT)}, purpose="gate")
    return {date: found for (_, date), found in answers.items()}


def test_a_gate_reads_no_stamp_that_every_write_of_the_table_changes(write, lake_house) -> None:
    write("part-0.parquet", select=f"DATE '{DAY}' AS date, n + 1 AS id, 'x' AS s")
    warehouse, wanted = lake_house.open(BOX, history=None), {"box": [DAY]}
    found = warehouse.evidence(wanted, purpose="gate", stamps={})["box", DAY]
    assert (found.rows, found.write_stamp) == (1, None)
    # It is read where it is asked for: a rerun that leaves the table as it is has written nothing
    answers = warehouse.evidence(wanted, purpose="gate", stamps=wanted)
    assert answers["box", DAY].write_stamp is not None


def rows(house: LakeHouse, *dates: dt.date) -> list[int]:
    found = evidence(house, *dates)
    assert [answer.error for answer in found.values()] == [""] * len(found)
    assert all(answer.rows == answer.passing_rows == answer.distinct_keys for answer in found.values())
    return [answer.rows for answer in found.values()]


def findings(house: LakeHouse) -> list[tuple[str, str]]:
    found: list[Finding] = [*_layout_findings("nba.box", "date", house.root / "nba" / "box")]
    return [(finding.status.value, finding.line) for finding in found]


def lacking(house: LakeHouse) -> list[str]:
    """The columns that preflight misses in the table."""
    info = house.open(BOX, history=None).catalog.describe("nba.box")
    assert info is not None
    box = house.pipeline(BOX, history=None).processors["box"]
    return [finding.line for finding in _missing_columns(box, info)]


LAYOUTS = {
    "one level": "date={:%Y-%m-%d}/part-0.parquet",
    "a level above": "season=2023-24/date={:%Y-%m-%d}/part-0.parquet",
    "a level below": "date={:%Y-%m-%d}/hour=03/part-0.parquet",
    "above and below": "region=us/date={:%Y-%m-%d}/hour=03/part-0.parquet",
    "compact": "date={:%Y%m%d}/part-0.parquet",
    "another case": "Date={:%Y-%m-%d}/part-0.parquet",
    "parts in another case": "Year={:%Y/Month=%m/Day=%d}/part-0.parquet",
    "parts below and above others": "region=us/year={:%Y/month=%m/day=%d}/hour=03/part-0.parquet",
    "url-encoded": "date={:%Y%%2D%m%%2D%d}/part-0.parquet",
    "midnight": "date={:%Y-%m-%d 00%%3A00%%3A00}/part-0.parquet",
    "year, month and day": "year={:%Y/month=%m/day=%d}/part-0.parquet",
    "without zeros": "year={0:%Y}/month={0.month}/day={0.day}/part-0.parquet",
    "without an ending": "date={:%Y-%m-%d}/part-00000",
    "another ending": "date={:%Y-%m-%d}/part-00000.parq",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_are_read_where_the_directories_say_the_date(
    lake_house: LakeHouse, write: Callable[..., Path], layout: str
) -> None:
    for date, count in ((DAY, 3), (NEXT, 2)):
        write(LAYOUTS[layout].format(date), count)
    assert rows(lake_house, DAY, NEXT, dt.date(2024, 3, 3)) == [3, 2, 0]
    assert rows(lake_house, NEXT) == [2]
    assert (findings(lake_house), lacking(lake_house)) == ([], [])


def test_two_regions_have_the_same_date_and_both_are_read(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("region=us/date=2024-03-01/a.parquet", 2, "n + 1 AS id")
    write("region=eu/date=2024-03-01/a.parquet", 3, "n + 11 AS id")
    assert rows(lake_house) == [5, 0]


def test_dates_of_two_spellings_are_read_side_by_side(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("date=2024-03-01/a.parquet", 2)
    write("date=20240302/a.parquet", 3)
    assert rows(lake_house) == [2, 3]


def test_a_date_in_two_directories_is_unknown_by_name_and_no_other(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("date=2024-03-01/a.parquet", 2)
    write("date=20240301/a.parquet", 2)
    write("date=2024-03-02/a.parquet", 3)
    found = evidence(lake_house)
    assert "2024-03-01 lies in two directories" in found[DAY].error
    assert found[NEXT].rows == 3
    ((status, line),) = findings(lake_house)
    assert status == "fail"
    assert line.startswith("nba.box: 2024-03-01 lies in ")


def test_files_without_directories_are_read_by_their_column(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("part-0.parquet", 4, "n + 1 AS id, DATE '2024-03-01' + (n // 3)::INT AS date")
    assert rows(lake_house) == [3, 1]
    assert findings(lake_house) == [
        ("warn", "nba.box: no directory names a date of date; each query reads all of 1 file")
    ]


def test_files_without_directories_and_without_the_column_are_an_error(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("part-0.parquet", 4)
    error = evidence(lake_house)[DAY].error
    assert 'Referenced column "date" not found' in error
    assert error.endswith(
        f"No directory is named as date=2024-03-01 either; correct date_column; {UNTIL_CORRECTED}"
    )


def test_a_report_without_a_state_takes_an_empty_partition_as_the_engine_does(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    # Given a date with rows, one whose file has none, and one without a directory
    write("date=2024-03-01/part-0.parquet", 2)
    write("date=2024-03-02/part-0.parquet", 0)
    sparse = phase("raw", processor("box", date_column="date", expect={"rows": [1], "empty": "partition"}))
    keys: Keys = {"history": None, "calendar": {}}
    # When nothing else is known of them
    made, warehouse = lake_house.pipeline(sparse, **keys), lake_house.open(sparse, **keys)
    report = validation(made, warehouse, DAY, NEXT + dt.timedelta(days=1), now=0.0)
    # Then the rule alone decides
    cells = report.phases[0].processors[0].dates.values()
    assert [(cell.verdict.value, cell.reason) for cell in cells] == [
        ("complete", ""),
        ("complete", "no rows, and the partition exists"),
        ("never_ran", "no rows, no run recorded"),
    ]


def test_directories_that_name_no_date_are_an_error_and_named_in_preflight(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    path = write("date=yesterday/part-0.parquet", 4)
    assert "no directory names a date" in evidence(lake_house)[DAY].error
    assert findings(lake_house) == [("fail", f"nba.box: {path.parent} names no date")]


def test_files_beside_the_dates_are_named_in_preflight(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("date=2024-03-01/a.parquet", 2)
    stray = write("old/part-0.parquet", 4)
    assert rows(lake_house) == [2, 0]
    assert findings(lake_house) == [("fail", f"nba.box: 1 file outside of all dates: {stray}")]


@pytest.mark.parametrize(
    "name",
    [
        "_temporary/0/task_1/date=2024-03-01/part-0.parquet",
        "date=2024-03-01/_temporary/0/part-0.parquet",
        "date=2024-03-01/.part-0.parquet",
        ".spark-staging-1/date=2024-03-01/part-0.parquet",
        "_SUCCESS",
        "date=2024-03-01/_SUCCESS",
    ],
)
def test_an_unfinished_write_of_spark_is_not_counted(
    lake_house: LakeHouse, write: Callable[..., Path], name: str
) -> None:
    write("date=2024-03-01/part-0.parquet", 2)
    write(name, 5)
    assert rows(lake_house) == [2, 0]
    assert findings(lake_house) == []


def test_half_a_file_without_an_ending_is_not_counted(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    whole = write("date=2024-03-01/part-0", 2)
    (whole.parent / "part-1").write_bytes(whole.read_bytes()[:-4])
    assert rows(lake_house) == [2, 0]


def test_a_partition_that_is_added_to_a_known_layout_is_seen(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    write("date=2024-03-01/part-0.parquet", 2)
    directory = lake_house.root / "nba" / "box"
    past = 1_600_000_000
    os.utime(directory, (past, past))
    assert rows(lake_house) == [2, 0]
    write("date=2024-03-02/part-0.parquet", 3)
    assert rows(lake_house) == [2, 3]
    shutil.rmtree(directory / "date=2024-03-01")
    assert rows(lake_house) == [0, 3]


def test_one_drifted_file_makes_its_own_date_unknown_and_is_named(
    lake_house: LakeHouse, write: Callable[..., Path]
) -> None:
    # Given twelve dates, of which one has texts where the others have numbers
    dates = [DAY + dt.timedelta(days=n) for n in range(12)]
    for date in dates:
        write(f"date={date}/part-0.parquet", 2)
    text = write(f"date={dates[5]}/part-0.parquet", 2, "'x' || n AS id, 'x' AS s")

    # When
    found = evidence(lake_house, *dates)

    # Then
    assert [answer.rows for answer in found.values()] == [0 if n == 5 else 2 for n in range(12)]
    assert str(text) in found[dates[5]].error


def test_a_delta_table_has_the_rows_of_its_log(lake_house: LakeHouse) -> None:
    directory = lake_house.root / "nba" / "box"

    def arrow(select: str) -> Table:
        return Table.from_arrow(duckdb.sql(select))

    write_deltalake(
        directory,
        arrow("SELECT DATE '2024-03-01' + (n // 3)::INT AS date, n + 1 AS id FROM range(5) AS r (n)"),
        partition_by=["date"],
    )
    assert rows(lake_house) == [3, 2]
    write_deltalake(
        directory,
        arrow("SELECT DATE '2024-03-01' AS date, n + 1 AS id FROM range(4) AS r (n)"),
        mode="overwrite",
        predicate="date = '2024-03-01'",
    )
    assert rows(lake_house) == [4, 2]
    DeltaTable(directory).delete("date = '2024-03-01'")
    DeltaTable(directory).create_checkpoint()
    assert rows(lake_house) == [0, 2]
    assert len([*directory.glob("date=2024-03-01/*.parquet")]) == 2


def test_a_format_that_is_not_read_is_refused_by_name(lake_house: LakeHouse) -> None:
    (lake_house.root / "nba" / "box" / ".hoodie").mkdir(parents=True)
    assert "is a Hudi table, which a lake does not read" in evidence(lake_house)[DAY].error
    assert findings(lake_house)[0][0] == "fail"


def test_a_delta_table_without_the_library_is_refused_with_the_remedy(
    lake_house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lake_house.root / "nba" / "box" / "_delta_log").mkdir(parents=True)
    monkeypatch.setattr(delta, "find_spec", lambda name: None)
    assert "install backfilld[delta]" in evidence(lake_house)[DAY].error


def test_a_delta_log_that_cannot_be_read_is_an_error(lake_house: LakeHouse) -> None:
    log = lake_house.root / "nba" / "box" / "_delta_log"
    log.mkdir(parents=True)
    (log / "00000000000000000000.json").write_text("not JSON")
    assert "the log of the Delta table" in evidence(lake_house)[DAY].error


@pytest.mark.parametrize("folder", ["year=2024/month=03/day=01", "date=2024-03-01", "date=20240301"])
def test_dates_that_directories_name_are_dates_whatever_times_the_files_have(
    lake_house: LakeHouse, write: Callable[..., Path], folder: str
) -> None:
    # Given rows of a local date whose instants in UTC are those of the next one
    instant = "TIMESTAMPTZ '2024-03-02 01:00:00+00'"
    column = "" if folder.startswith("date") else f", {instant} AS date"
    write(f"{folder}/part-0.parquet", 2, f"n AS id, {instant} AS made_at{column}")
    box = phase("raw", processor("box", date_column="date", date_timezone="America/New_York"))
    answers = lake_house.open(box, history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
    assert [answers["box", day] for day in (DAY, NEXT)] == [Evidence(rows=2), Evidence()]


@pytest.mark.parametrize(("hours", "expected"), [(1, [2, 0]), (9, [0, 2])])
def test_a_delta_table_that_is_partitioned_by_the_parts_of_a_date_has_its_dates_in_the_column(
    lake_house: LakeHouse, hours: int, expected: list[int]
) -> None:
    instant = f"TIMESTAMPTZ '2024-03-02 0{hours}:00:00+00' AS at"
    parts = "2024 AS year, 3 AS month, 2 AS day"
    relation = duckdb.sql(f"SELECT {instant}, {parts}, n AS id FROM range(2) AS r (n)")
    assert relation is not None
    folder = lake_house.root / "nba" / "box"
    write_deltalake(folder, Table.from_arrow(relation), partition_by=["year", "month", "day"])
    box = phase("raw", processor("box", date_column="at", date_timezone="America/New_York"))
    answers = lake_house.open(box, history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
    assert [answers["box", day] for day in (DAY, NEXT)] == [Evidence(rows=n) for n in expected]
    assert lacking(lake_house) == ["nba.box has no column date, which box.expect.unique names"]
