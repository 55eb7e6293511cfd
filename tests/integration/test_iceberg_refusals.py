"""Iceberg tables that are not read, or not where their metadata says: unknown by name, not counted wrong."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from pyiceberg.manifest import DataFileContent, FileFormat

from backfilld.daemon.warehouses.lake.iceberg import table_cache
from backfilld.state.rules.evidence import UNTIL_CORRECTED
from tests.factories import phase, processor
from tests.integration.iceberg_evidence import (
    DAY,
    NEXT,
    THIRD,
    box,
    days,
    error,
    evidence,
    findings,
    made,
    rows,
)
from tests.integration.iceberg_house import IcebergHouse


@pytest.fixture
def house(tmp_path: Path) -> Iterator[IcebergHouse]:
    house = IcebergHouse(tmp_path)
    yield house
    house.close()


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
    assert error(house).endswith(UNTIL_CORRECTED)
    assert findings(house)[0][0] == "fail"


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
    assert UNTIL_CORRECTED not in answers["box", DAY].error
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
        table_cache._tables.clear()
    manifest.unlink()
    assert "No such file" in error(house)


def test_a_manifest_that_a_commit_replaces_meanwhile_is_read_anew(
    house: IcebergHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.append("nba.box", days(3))
    found, calls = table_cache.current, []

    def replaced(directory: Path) -> object:
        calls.append(directory)
        if len(calls) == 1:
            raise FileNotFoundError
        return found(directory)

    monkeypatch.setattr(table_cache, "current", replaced)
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
    assert found[THIRD].error.endswith(UNTIL_CORRECTED)


def test_metadata_without_its_files_and_without_the_library_is_refused(
    house: IcebergHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.append("nba.box", days(3))
    for file in (house.root / "nba" / "box" / "metadata").glob("*.metadata.json"):
        file.unlink()
    assert "there is no metadata file" in error(house)
    monkeypatch.setattr(table_cache, "find_spec", lambda name: None)
    assert "install backfilld[iceberg]" in error(house)
