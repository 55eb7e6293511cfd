"""Delta tables whose files alone do not say what their rows are."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as arrow
import pytest
from deltalake import write_deltalake

from backfilld.daemon.preflight.findings import FindingStatus
from backfilld.daemon.warehouses.lake.outside_links import NAME_FILES_WITHIN
from backfilld.state.rules.evidence import UNTIL_CORRECTED
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, LakeHouse

RULE = {"filled": {"columns": ["minutes"], "share": 0.5}}
BOX = phase("raw", processor("box", date_column="game_date", expect=RULE))


@pytest.fixture
def log(lake_house: LakeHouse) -> Path:
    """The first commit of a Delta table with a row."""
    table = lake_house.root / "nba" / "box"
    table.mkdir(parents=True)
    rows = arrow.table({"game_date": [DAY], "minutes": [12]})
    write_deltalake(table, rows, partition_by=["game_date"])
    return table / "_delta_log" / f"{0:020}.json"


def error(house: LakeHouse) -> str:
    return house.open(BOX, history=None).evidence({"box": [DAY]}, purpose="gate")["box", DAY].error


def map_columns(log: Path, mode: str) -> None:
    """Let the older protocol map columns, as Spark writes it: it lists no features."""
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 2, "minWriterVersion": 5}
        if "metaData" in action:
            schema = json.loads(action["metaData"]["schemaString"])
            for number, column in enumerate(schema["fields"]):
                key = "delta.columnMapping"
                column["metadata"] = {f"{key}.id": number, f"{key}.physicalName": column["name"]}
            action["metaData"]["schemaString"] = json.dumps(schema)
            action["metaData"]["configuration"] = {"delta.columnMapping.mode": mode}
    log.write_text("\n".join(map(json.dumps, actions)) + "\n")


@pytest.mark.parametrize("mode", ["name", "id"])
def test_columns_that_are_mapped_by_the_older_protocol_are_refused_by_name(
    lake_house: LakeHouse, log: Path, mode: str
) -> None:
    map_columns(log, mode)
    table = lake_house.root / "nba" / "box"
    sentence = f"the Delta table {table} uses columnMapping, which is not read; switch it off"
    assert sentence in error(lake_house)


def test_the_older_protocol_without_a_mapping_is_read(lake_house: LakeHouse, log: Path) -> None:
    map_columns(log, "none")
    assert error(lake_house) == ""


def move_file(log: Path, target: Path) -> Path:
    """Move the table's file, and name it in the log by its absolute path, as a shallow clone does."""
    (file,) = log.parent.parent.glob("*/*.parquet")
    target.parent.mkdir(parents=True)
    shutil.move(file, target)
    log.write_text(log.read_text().replace(str(file.relative_to(log.parent.parent)), f"file://{target}"))
    return target


def layout(house: LakeHouse) -> list[tuple[FindingStatus, str, str]]:
    (check,) = house.open(BOX, history=None).catalog.preflight_checks()
    found = check.run(cast("Any", SimpleNamespace(pipeline=house.pipeline(BOX, history=None))))
    return [(finding.status, finding.line, finding.hint) for finding in found]


def test_a_file_outside_of_the_lake_that_the_log_names_is_named_with_the_remedy(
    lake_house: LakeHouse, log: Path, tmp_path: Path
) -> None:
    sentence = f"{move_file(log, tmp_path / 'elsewhere' / 'a.parquet')} is outside of the lake"
    assert error(lake_house) == f"nba.box: {sentence}; {NAME_FILES_WITHIN}; {UNTIL_CORRECTED}"
    assert layout(lake_house) == [(FindingStatus.FAIL, f"nba.box: {sentence}", NAME_FILES_WITHIN)]
    described = lake_house.open(BOX, history=None).catalog.describe("nba.box")
    assert described
    assert (described.columns, described.partition_column) == ({"minutes", "game_date"}, "game_date")


def test_a_file_of_another_table_of_the_lake_that_the_log_names_is_read(
    lake_house: LakeHouse, log: Path
) -> None:
    move_file(log, lake_house.root / "nba" / "original" / "a.parquet")
    assert error(lake_house) == ""
    assert layout(lake_house) == [(FindingStatus.PASS, "every file belongs to a date", "")]
    assert lake_house.open(BOX, history=None).catalog.describe("nba.box")
