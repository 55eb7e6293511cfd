"""Iceberg tables in a lake: what their current snapshot says, and what is refused by name."""

import datetime as dt
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.manifest import DataFileContent, FileFormat
from pyiceberg.transforms import DayTransform, MonthTransform

from backfilld.daemon.warehouses.lake.catalog import LakeCatalog
from backfilld.daemon.warehouses.lake.iceberg import reader
from backfilld.state.rules.evidence import Evidence
from tests.factories import phase, processor
from tests.integration.iceberg_house import IcebergHouse

DAY, NEXT, THIRD = (dt.date(2024, 3, day) for day in (1, 2, 3))
DATES = (DAY, NEXT, THIRD)


def box(**keys: object) -> dict[str, object]:
    rules = {"unique": {"columns": ["id"]}, "quality": {"where": "id > 0"}}
    return phase("raw", processor("box", **{"date_column": "date", "expect": rules, **keys}))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[IcebergHouse]:
    house = IcebergHouse(tmp_path)
    yield house
    house.close()


def made(select: str) -> pa.Table:
    return duckdb.sql(select).to_arrow_table()


def days(*counts: int, start: dt.date = DAY, column: str = "s") -> pa.Table:
    """So many rows of each date from `start`."""
    dates = [start + dt.timedelta(days=number) for number, count in enumerate(counts) for _ in range(count)]
    kinds = {"date": pa.date32(), "id": pa.int64(), column: pa.string()}
    values = {"date": dates, "id": range(1, len(dates) + 1), column: ["x"] * len(dates)}
    return pa.table({name: pa.array(values[name], kind) for name, kind in kinds.items()})


def evidence(
    house: IcebergHouse, *dates: dt.date, of: dict[str, object] | None = None
) -> Mapping[dt.date, Evidence]:
    """The evidence of `nba.box`, with write stamps."""
    wanted = {"box": dates or DATES}
    answers = house.open(of or box(), history=None).evidence(wanted, purpose="gate", stamps=wanted)
    return {date: found for (_, date), found in answers.items()}


def rows(house: IcebergHouse, **keys: object) -> list[int]:
    found = evidence(house, of=box(**keys))
    assert [answer.error for answer in found.values()] == [""] * len(found)
    return [answer.rows for answer in found.values()]


def stamps(house: IcebergHouse, *, of: dict[str, object] | None = None) -> Sequence[str | None]:
    found = [answer.write_stamp for answer in evidence(house, of=of).values()]
    assert None not in found
    return found


def changed(before: Sequence[str | None], after: Sequence[str | None]) -> list[bool]:
    return [one != other for one, other in zip(before, after, strict=True)]


def error(house: IcebergHouse) -> str:
    """The one error of all dates."""
    (found,) = {answer.error for answer in evidence(house).values()}
    return found


def findings(house: IcebergHouse) -> list[tuple[str, str]]:
    warehouse = house.open(box(), history=None)
    (check,) = warehouse.catalog.preflight_checks()
    scope = type("Scope", (), {"pipeline": house.pipeline(box())})
    return [(finding.status.value, finding.line) for finding in check.run(scope)]


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


def test_a_struct_with_a_renamed_field_is_unknown_and_never_read_by_its_old_name(house: IcebergHouse) -> None:
    table = house.append(
        "nba.box", made("SELECT DATE '2024-03-01' AS date, 1::BIGINT AS id, {'a': 1} AS part")
    )
    assert evidence(house, of=box(expect={"quality": {"where": "part.a = 1"}}))[DAY].passing_rows == 1
    with table.update_schema() as update:
        update.rename_column("part.a", "b")
    found = evidence(house, of=box(expect={"quality": {"where": "part.b IS NULL"}}))[DAY]
    assert "part" in found.error
    assert rows(house) == [1, 0, 0]


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


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (DataFileContent.EQUALITY_DELETES, FileFormat.PARQUET, "it has equality deletes"),
        (DataFileContent.POSITION_DELETES, FileFormat.PUFFIN, "it has deletion vectors of the format PUFFIN"),
        (DataFileContent.DATA, FileFormat.ORC, "it has files of the format ORC"),
    ],
)
def test_deletes_and_files_that_are_not_read_are_refused_by_name(
    house: IcebergHouse, content: DataFileContent, kind: FileFormat, words: str
) -> None:
    house.append("nba.box", days(3))
    house.delete_by_file(content=content, kind=kind)
    assert f"the Iceberg table {house.root}/nba/box is not read: {words}" in error(house)
    assert findings(house)[0][0] == "fail"


@pytest.mark.parametrize("instant", [True, False])
def test_days_of_a_time_are_partitions_and_queries_read_the_files_around_them(
    house: IcebergHouse, instant: bool
) -> None:
    # Given a row an hour before each midnight and one at it
    kind = "TIMESTAMPTZ" if instant else "TIMESTAMP"
    with duckdb.connect() as connection:
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


def test_metadata_that_is_half_written_leaves_its_table_unknown_and_others_known(house: IcebergHouse) -> None:
    # Given a commit that has begun to write its metadata, and a table beside it
    house.append("nba.box", days(3))
    house.append("nba.other", days(2))
    whole = max((house.root / "nba" / "box" / "metadata").glob("*.metadata.json")).read_text()
    begun = house.root / "nba" / "box" / "metadata" / "00009-a.metadata.json"
    begun.write_text(whole[:500])
    both = phase("raw", *(processor(name, date_column="date") for name in ("box", "other")))
    wanted = {"box": [DAY], "other": [DAY]}
    warehouse = house.open(both, history=None)
    # When
    answers = warehouse.evidence(wanted, purpose="gate", stamps=wanted)
    # Then
    assert "00009-a.metadata.json is damaged, or not written to its end yet" in answers["box", DAY].error
    assert (answers["other", DAY].rows, answers["other", DAY].write_stamp is None) == (2, False)
    # And once it is written, it is read
    begun.write_text(whole)
    answers = warehouse.evidence(wanted, purpose="gate", stamps=wanted)
    assert [answers[name, DAY].rows for name in wanted] == [3, 2]


@pytest.mark.parametrize("pattern", ["*-m0.avro", "snap-*.avro"])
def test_a_damaged_manifest_is_an_error_wherever_it_is_damaged(house: IcebergHouse, pattern: str) -> None:
    house.append("nba.box", days(3))
    (manifest,) = (house.root / "nba" / "box" / "metadata").glob(pattern)
    whole = manifest.read_bytes()
    for size in range(0, len(whole), len(whole) // 20):
        manifest.write_bytes(whole[:size])
        assert "the metadata of the Iceberg table" in error(house)
        reader._tables.clear()
    manifest.unlink()
    assert "No such file" in error(house)


def test_a_manifest_that_a_commit_replaces_meanwhile_is_read_anew(
    house: IcebergHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.append("nba.box", days(3))
    found, calls = reader.current, []

    def replaced(directory: Path) -> object:
        calls.append(directory)
        if len(calls) == 1:
            raise FileNotFoundError
        return found(directory)

    monkeypatch.setattr(reader, "current", replaced)
    assert rows(house) == [3, 0, 0]


def test_a_table_that_was_made_anew_in_its_directory_is_refused_until_that_is_clear(
    house: IcebergHouse,
) -> None:
    # Given a table of two commits that was dropped, but not its files
    house.append("nba.box", days(3))
    house.append("nba.box", days(1))
    house.catalog.drop_table("nba.box")
    metadata = house.root / "nba" / "box" / "metadata"
    former = [*metadata.glob("*.metadata.json")]
    for file in former:
        os.utime(file, (1, 1))
    # When another takes its place
    house.make("nba.box", days().schema)
    # Then the higher numbers of the former table are not taken for it
    assert "was written after" in error(house)
    for file in former:
        file.unlink()
    assert rows(house) == [0, 0, 0]
    house.append("nba.box", days(2))
    assert rows(house) == [2, 0, 0]


def test_a_table_is_read_where_it_was_moved_to(house: IcebergHouse) -> None:
    house.append("nba.box", days(3))
    house.delete_by_file()
    moved = house.root / "nba" / "elsewhere"
    (house.root / "nba" / "box").rename(moved)
    shutil.copytree(moved, house.root / "nba" / "box")
    shutil.rmtree(moved)
    assert rows(house) == [2, 0, 0]


def test_metadata_of_a_bucket_is_read_below_the_directory_and_nowhere_else(house: IcebergHouse) -> None:
    house.append("nba.box", days(3))
    newest = max((house.root / "nba" / "box" / "metadata").glob("*.metadata.json"))
    document = json.loads(newest.read_text())
    document["location"] = "s3://bucket/box"
    document["snapshots"][-1]["manifest-list"] = "s3://other/snap.avro"
    newest.write_text(json.dumps(document))
    assert "s3://other/snap.avro is not below the table's location s3://bucket/box" in error(house)


def test_imported_files_without_field_ids_are_unknown_for_their_date_alone(house: IcebergHouse) -> None:
    table = house.append("nba.box", days(3, 2))
    path = house.root / "nba" / "box" / "data" / "imported.parquet"
    duckdb.sql(
        f"COPY (SELECT DATE '2024-03-03' AS date, 9::BIGINT AS id, 'x' AS s) TO '{path}' (FORMAT parquet)"
    )
    table.add_files([f"file://{path}"])
    found = evidence(house)
    assert [found[day].rows for day in (DAY, NEXT)] == [3, 2]
    assert f"{path} has no field ids" in found[THIRD].error


def test_texts_and_numbers_name_dates_as_partitions_of_a_directory_do(house: IcebergHouse) -> None:
    house.append(
        "nba.box", made("SELECT '2024-03-0' || (1 + n // 3) AS date, n + 1 AS id FROM range(5) AS r (n)")
    )
    assert rows(house) == [3, 2, 0]
    house.delete_by_file()
    assert rows(house) == [2, 2, 0]


def test_metadata_without_its_files_and_without_the_library_is_refused(
    house: IcebergHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.append("nba.box", days(3))
    for file in (house.root / "nba" / "box" / "metadata").glob("*.metadata.json"):
        file.unlink()
    assert "there is no metadata file" in error(house)
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    assert "install backfilld[iceberg]" in error(house)


def test_a_table_is_described_by_its_current_schema(house: IcebergHouse) -> None:
    house.append(
        "nba.box", made("SELECT DATE '2024-03-01' AS Date, TIMESTAMP '2024-03-01' AS at, 1.5 AS x"), by="Date"
    )
    info = LakeCatalog(house.root).describe("nba.box")
    assert info is not None
    assert (info.columns, info.partition_column) == ({"date", "at", "x"}, "date")
    assert info.time_columns == {"at": "datetime"}
