"""Symbolic links in a lake: those within it are followed, those that leave it are named with their target."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backfilld.daemon.preflight.findings import Finding
from backfilld.daemon.preflight.tables import _refused_rules
from backfilld.daemon.warehouses.lake.outside_links import REMEDY
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from tests.factories import phase, processor
from tests.integration.warehouses import LakeHouse
from tests.scratch_duckdb import scratch
from tests.simulation.season import OPENER as DAY

RULES = {"rows": [2, 2], "quality": {"where": "id > 0"}}
BOX = phase("raw", processor("box", date_column="date", expect=RULES))
OTHER_DAY = DAY.replace(day=DAY.day + 1)


@pytest.fixture
def table(lake_house: LakeHouse) -> Path:
    """The directory of a table with two rows on each of two days."""
    directory = lake_house.root / "nba" / "box"
    for date in (DAY, OTHER_DAY):
        part = directory / f"date={date}"
        part.mkdir(parents=True)
        with scratch() as connection:
            connection.execute(
                f"COPY (SELECT n + 1 AS id FROM range(2) AS r (n)) TO '{part}/p.parquet' (FORMAT parquet)"
            )
    return directory


def moved(path: Path, target: Path) -> Path:
    """Move something elsewhere, and leave a link to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
    path.symlink_to(target)
    return path


def evidence(house: LakeHouse) -> Sequence[Evidence]:
    answers = house.open(BOX, history=None).evidence({"box": [DAY, OTHER_DAY]}, purpose="gate")
    return [answers["box", date] for date in (DAY, OTHER_DAY)]


def layout(house: LakeHouse) -> list[Finding]:
    """What preflight says of the layout of files."""
    (check,) = house.open(BOX, history=None).catalog.preflight_checks()
    return list(check.run(cast("Any", SimpleNamespace(pipeline=house.pipeline(BOX, history=None)))))


def refused(house: LakeHouse) -> list[tuple[str, str]]:
    """What preflight says of the query by which gates judge, with the remedy."""
    context = cast("Any", SimpleNamespace(warehouse=house.open(BOX, history=None), start=DAY))
    box = house.pipeline(BOX, history=None).processors["box"]
    return [(finding.line, finding.hint) for finding in _refused_rules(context, box)]


@pytest.mark.parametrize("place", [f"date={DAY}", f"date={DAY}/p.parquet"])
def test_a_partition_that_lies_elsewhere_is_unknown_and_named_with_its_target(
    lake_house: LakeHouse, table: Path, tmp_path: Path, place: str
) -> None:
    link, target = moved(table / place, tmp_path / "disk" / "old"), tmp_path / "disk" / "old"
    sentence = f"{link} is a symbolic link to {target}, outside of the lake"
    # Then its own date is unknown until an operator acts, and the other one is counted
    day, other = evidence(lake_house)
    assert day.error.startswith(f"nba.box: {sentence}; mount")
    assert day.error.endswith(UNTIL_CORRECTED)
    assert (other.error, other.rows) == ("", 2)
    # And preflight names it, as what it is and not as a mistake of a rule
    assert [(f.line, f.hint) for f in layout(lake_house)] == [(f"nba.box: {sentence}", REMEDY)]
    ((line, remedy),) = refused(lake_house)
    assert line == f"nba.box cannot be queried: {sentence}"
    assert REMEDY.startswith(remedy)  # long paths leave less room for it


@pytest.mark.parametrize("place", ["nba", "nba/box"])
def test_a_table_that_lies_elsewhere_is_one_finding(
    lake_house: LakeHouse, table: Path, tmp_path: Path, place: str
) -> None:
    link = moved(lake_house.root / place, tmp_path / "disk" / "old")
    sentence = f"{link} is a symbolic link to {tmp_path}/disk/old, outside of the lake"
    assert [found.line for found in layout(lake_house)] == [f"nba.box: {sentence}"]
    assert all(sentence in found.error for found in evidence(lake_house))


def test_links_within_the_lake_are_followed(lake_house: LakeHouse, table: Path) -> None:
    moved(table / f"date={DAY}", lake_house.root / "archive" / "old")
    assert [found.rows for found in evidence(lake_house)] == [2, 2]
    assert [found.line for found in layout(lake_house)] == ["every file belongs to a date"]


def test_a_lake_whose_root_is_a_link_is_read(lake_house: LakeHouse, table: Path, tmp_path: Path) -> None:
    moved(lake_house.root, tmp_path / "disk" / "lake")
    assert [found.rows for found in evidence(lake_house)] == [2, 2]
    assert [found.line for found in layout(lake_house)] == ["every file belongs to a date"]


def test_a_damaged_file_is_not_called_a_mistake_of_a_rule(lake_house: LakeHouse, table: Path) -> None:
    (table / f"date={DAY}" / "p.parquet").write_bytes(b"PAR1 half of it")
    ((line, remedy),) = refused(lake_house)
    assert line.startswith("nba.box cannot be queried: ")
    assert remedy == "write the file again, or remove it"


def test_many_directories_that_name_no_date_are_counted(lake_house: LakeHouse, table: Path) -> None:
    for name in ("__HIVE_DEFAULT_PARTITION__", "2024-02-30", "soon", "yesterday"):
        (table / f"date={name}").mkdir()
    (found,) = layout(lake_house)
    named = ", ".join(f"{table}/date={name}" for name in ("2024-02-30", "__HIVE_DEFAULT_PARTITION__", "soon"))
    assert found.line == f"nba.box: {named} and 1 more name no date"
