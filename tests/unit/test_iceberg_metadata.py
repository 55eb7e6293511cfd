"""Which metadata file of an Iceberg table is current, by the names in its directory."""

import os
from pathlib import Path

import pytest

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import current, is_iceberg
from backfilld.daemon.warehouses.lake.iceberg.local_file_paths import Locations

EIGHT, NINE = "00008-5a.metadata.json", "00009-7b.metadata.json"


def table(directory: Path, *names: str, hint: str | None = None) -> Path:
    """A table with such metadata files, each written a second after the one before."""
    (directory / "metadata").mkdir()
    for second, name in enumerate(names):
        (directory / "metadata" / name).touch()
        os.utime(directory / "metadata" / name, (second, second))
    if hint is not None:
        (directory / "metadata" / "version-hint.text").write_text(hint)
    return directory


@pytest.mark.parametrize(
    ("names", "hint", "expected"),
    [
        ([EIGHT, NINE, "00010-1c.metadata.json", "snap-1.avro"], None, "00010-1c.metadata.json"),
        (["v9.metadata.json", "v10.metadata.json"], "10", "v10.metadata.json"),
        (["v9.metadata.json", "v10.metadata.json"], "9\n", "v10.metadata.json"),
        (["v9.metadata.json", "v10.gz.metadata.json"], None, "v10.gz.metadata.json"),
        (["v1.metadata.json", "v2.metadata.json.gz"], None, "v2.metadata.json.gz"),
        ([EIGHT, NINE, "00009-8c.metadata.json"], "00009-8c", "00009-8c.metadata.json"),
        ([EIGHT, NINE, "00009-8c.metadata.json"], NINE, NINE),
        (["v9.metadata.json", NINE], "9", "v9.metadata.json"),
        (["exported.metadata.json"], None, "exported.metadata.json"),
    ],
)
def test_the_highest_number_is_current_and_the_hint_decides_between_equal_ones(
    tmp_path: Path, names: list[str], hint: str | None, expected: str
) -> None:
    assert current(table(tmp_path, *names, hint=hint))[0].name == expected


@pytest.mark.parametrize(
    ("names", "hint", "words"),
    [
        ([NINE, "00009-8c.metadata.json"], None, f"{NINE} or 00009-8c.metadata.json is current"),
        ([NINE, "00009-8c.metadata.json"], "8", "it is unclear whether"),
        (["a.metadata.json", "b.metadata.json"], None, "it is unclear whether"),
        ([EIGHT], "9", "names version 9, whose metadata is missing"),
        (["snap-1.avro"], None, "there is no metadata file in"),
        ([], "3", "there is no metadata file in"),
    ],
)
def test_metadata_that_leaves_the_current_one_open_is_refused(
    tmp_path: Path, names: list[str], hint: str | None, words: str
) -> None:
    directory = table(tmp_path, *names, hint=hint)
    assert is_iceberg(directory)
    with pytest.raises(QueryError, match=words):
        current(directory)


def test_a_lower_number_that_was_written_later_is_named(tmp_path: Path) -> None:
    found, later = current(table(tmp_path, EIGHT, NINE, "00000-3d.metadata.json"))
    assert (found.name, [file.name for file in later]) == (NINE, ["00000-3d.metadata.json"])


def test_a_directory_of_plain_files_is_no_iceberg_table(tmp_path: Path) -> None:
    assert not is_iceberg(table(tmp_path, "part-0.parquet"))
    assert not is_iceberg(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("location", "name", "path"),
    [
        ("file:///a/box", "file:///a/box/data/x.parquet", "/lake/box/data/x.parquet"),
        ("/a/box/", "file:/a/box/data/x.parquet", "/lake/box/data/x.parquet"),
        ("s3://bucket/box", "s3://bucket/box/data/x.parquet", "/lake/box/data/x.parquet"),
        ("file:///a/box", "file:///a/box2/x.parquet", "/a/box2/x.parquet"),
    ],
)
def test_files_below_the_location_are_read_below_the_directory(location: str, name: str, path: str) -> None:
    assert Locations(Path("/lake/box"), location).path(name) == path


@pytest.mark.parametrize("name", ["s3://other/x.parquet", "s3://bucket/box2/x.parquet", "x.parquet"])
def test_a_file_that_lies_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(QueryError, match="is not below the table's location s3://bucket/box"):
        Locations(Path("/lake/box"), "s3://bucket/box").path(name)
