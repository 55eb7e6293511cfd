"""Iceberg tables in a lake: rows, columns and write stamps by their current snapshot."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.transforms import DayTransform, MonthTransform

from backfilld.daemon.reports.warehouse_adapter_conformance import warehouse_check
from backfilld.daemon.warehouses.lake.table_metadata import LakeCatalog
from tests.factories import phase, processor
from tests.integration.iceberg_evidence import (
    DATES,
    DAY,
    NEXT,
    THIRD,
    box,
    changed,
    days,
    evidence,
    findings,
    made,
    rows,
    stamps,
)
from tests.integration.iceberg_house import IcebergHouse
from tests.scratch_duckdb import scratch


@pytest.fixture
def house(tmp_path: Path) -> Iterator[IcebergHouse]:
    house = IcebergHouse(tmp_path)
    yield house
    house.close()


def test_a_table_has_the_rows_of_its_current_snapshot_and_a_stamp_for_each_date(house: IcebergHouse) -> None:
    # Given
    table = house.append("nba.box", days(3, 2))
    assert (rows(house), findings(house)) == ([3, 2, 0], [("pass", "every file belongs to a date")])
    seen = [stamps(house)]
    # When a partition is overwritten, rows are deleted, a date is added, and one is dropped
    table.overwrite(days(4), overwrite_filter=f"date = '{DAY}'")
    counts, seen = [rows(house)], [*seen, stamps(house)]
    table.delete("id = 2 and date = '2024-03-01'")
    counts, seen = [*counts, rows(house)], [*seen, stamps(house)]
    table.append(days(1, start=THIRD))
    counts, seen = [*counts, rows(house)], [*seen, stamps(house)]
    table.delete(f"date = '{DAY}'")
    counts, seen = [*counts, rows(house)], [*seen, stamps(house)]
    # Then each commit shows, on its own dates alone, although the old files are still there
    assert counts == [[4, 2, 0], [3, 2, 0], [3, 2, 1], [0, 2, 1]]
    pairs = itertools.pairwise(seen)
    assert [changed(*pair) for pair in pairs] == [[True, False, False]] * 2 + [
        [False, False, True],
        [True, False, False],
    ]
    assert len([*house.root.glob("nba/box/data/date=2024-03-01/*.parquet")]) == 3


def test_a_column_is_known_by_its_id_whatever_it_was_called(house: IcebergHouse) -> None:
    # Given a renamed column, and another one that has its old name now
    table = house.append("nba.box", days(2))
    with table.update_schema() as update:
        update.rename_column("s", "label")
        update.rename_column("date", "day")
    house.append("nba.box", made("SELECT DATE '2024-03-02' AS day, 9::BIGINT AS id, 'y' AS label, 7 AS s"))
    # Then both names have their own values in old and new files
    found = evidence(house, of=box(date_column="day", expect={"quality": {"where": "label IN ('x', 'y')"}}))
    assert [answer.passing_rows for answer in found.values()] == [2, 1, 0]
    found = evidence(house, of=box(date_column="day", expect={"quality": {"where": "s = 7"}}))
    assert [(answer.rows, answer.passing_rows) for answer in found.values()] == [(2, 0), (1, 1), (0, 0)]
    # And a calendar in SQL of the pipeline file reads them as well
    calendar = {"query": "SELECT day AS date, COUNT(label) AS games FROM nba.box GROUP BY 1"}
    assert house.open(box(), calendar=calendar).counts(DAY, NEXT) == {DAY: {"games": 2}, NEXT: {"games": 1}}


def test_rows_that_a_file_of_positions_deletes_are_not_counted(house: IcebergHouse) -> None:
    # Given two files of one date, and deletes of the first row of each
    table = house.append("nba.box", days(3, 2))
    table.append(days(2))
    before = stamps(house)
    house.delete_by_file()
    # Then
    assert rows(house) == [3, 2, 0] == [house.table().scan(f"date = '{day}'").count() for day in DATES]
    assert changed(before, stamps(house)) == [True, False, False]
    calendar = {"query": "SELECT date, COUNT(*) AS games FROM nba.box GROUP BY 1"}
    assert house.open(box(), calendar=calendar).counts(DAY, NEXT) == {DAY: {"games": 3}, NEXT: {"games": 2}}


@pytest.mark.parametrize("instant", [True, False])
def test_days_of_a_time_are_partitions_and_queries_read_the_files_around_them(
    house: IcebergHouse, instant: bool
) -> None:
    # Given a row an hour before each midnight and one at it
    kind = "TIMESTAMPTZ" if instant else "TIMESTAMP"
    with scratch() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        moments = "range(TIMESTAMP '2024-03-01', TIMESTAMP '2024-03-03', INTERVAL 1 HOUR) AS t (m)"
        select = f"SELECT m::{kind} AS at, row_number() OVER ()::BIGINT AS id FROM {moments}"
        written = connection.sql(f"{select} WHERE hour(m) IN (0, 23)").to_arrow_table()
    house.append("nba.box", written, by="at", transform=DayTransform())
    # Then dates of UTC are the partitions, and those of New York have rows of the partition after them
    utc = box(date_column="at", date_timezone="UTC", expect={"empty": "partition", "rows": [1]})
    found = evidence(house, of=utc)
    assert [(answer.rows, answer.has_partition) for answer in found.values()] == [
        (2, True),
        (2, True),
        (0, False),
    ]
    before = stamps(house, of=utc)
    house.table().append(written.slice(3, 1))
    assert changed(before, stamps(house, of=utc)) == [False, True, False]
    counts = [1 + 1, 1 + 1, 0] if instant else [2, 3, 0]
    assert rows(house, date_column="at", date_timezone="America/New_York")[0] == counts[0]


@pytest.mark.parametrize("transform", [None, MonthTransform()])
def test_a_table_without_partitions_by_date_has_stamps_by_the_dates_in_its_files(
    house: IcebergHouse, transform: object
) -> None:
    house.append("nba.box", days(3, 2), by="date" if transform else None, transform=transform)
    before = stamps(house)
    house.table().append(days(1, start=THIRD))
    assert (rows(house), changed(before, stamps(house))) == ([3, 2, 1], [False, False, True])
    ((status, line),) = findings(house)
    assert (status, "no partition for each date of date" in line) == ("warn", True)


def test_a_compaction_is_no_write_while_the_table_keeps_its_snapshot(house: IcebergHouse) -> None:
    # Given a date in two files
    table = house.append("nba.box", days(3, 2))
    table.append(days(2))
    before = stamps(house)
    # When they become one, twice
    house.compact()
    house.compact()
    # Then rows and stamps are the same
    assert (rows(house), stamps(house)) == ([5, 2, 0], before)
    # And rows that are deleted afterwards show
    house.table().delete("id = 1")
    assert changed(before, stamps(house)) == [True, False, False]


def test_an_expired_compaction_changes_the_stamp_of_its_date_once(house: IcebergHouse) -> None:
    house.append("nba.box", days(3, 2))
    before = stamps(house)
    house.compact()
    house.table().append(days(1, start=THIRD))
    kept = house.table().current_snapshot()
    assert kept is not None
    old = [snapshot.snapshot_id for snapshot in house.table().snapshots() if snapshot != kept]
    house.table().maintenance.expire_snapshots().by_ids(old).commit()
    assert changed(before, stamps(house)) == [True, False, True]
    assert rows(house) == [3, 2, 1]


def test_texts_and_numbers_name_dates_as_partitions_of_a_directory_do(house: IcebergHouse) -> None:
    house.append(
        "nba.box", made("SELECT '2024-03-0' || (1 + n // 3) AS date, n + 1 AS id FROM range(5) AS r (n)")
    )
    assert rows(house) == [3, 2, 0]
    house.delete_by_file()
    assert rows(house) == [2, 2, 0]


def test_a_table_is_described_by_its_current_schema(house: IcebergHouse) -> None:
    house.append(
        "nba.box", made("SELECT DATE '2024-03-01' AS Date, TIMESTAMP '2024-03-01' AS at, 1.5 AS x"), by="Date"
    )
    info = LakeCatalog(house.root).describe("nba.box")
    assert info is not None
    assert (info.columns, info.partition_column) == ({"date", "at", "x"}, "date")
    assert info.time_columns == {"at": "datetime"}


def test_the_check_of_a_warehouse_holds_for_partitions_times_and_deletes(house: IcebergHouse) -> None:
    # Given a table with deletes, and one of times
    house.append("nba.box", days(3, 2))
    house.delete_by_file()
    times = made("SELECT TIMESTAMP '2024-03-01' + INTERVAL (n) HOUR AS at FROM range(30) AS r (n)")
    house.append("nba.times", times, by="at", transform=DayTransform())
    both = (processor("box", date_column="date"), processor("times", date_column="at", date_timezone="UTC"))
    # Then
    calendar = {"query": "SELECT date, COUNT(*) AS games FROM nba.box GROUP BY 1"}
    pipeline = house.pipeline(phase("raw", *both), history=None, calendar=calendar)
    found = warehouse_check(pipeline, DAY, THIRD)
    assert (found.exit_code, found.summary) == (0, "the warehouse answers as it should"), str(found.results)
