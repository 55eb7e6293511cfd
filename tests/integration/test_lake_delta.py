"""Delta tables whose files alone do not say what their rows are."""

import json
from pathlib import Path

import pyarrow as arrow
import pytest
from deltalake import write_deltalake

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
