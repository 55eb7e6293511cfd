"""Instants in nanoseconds, as pandas writes them, belong to the day in `date_timezone` as all others do."""

import datetime as dt
from pathlib import Path

import pyarrow as arrow
import pytest
from pyarrow import parquet

from tests.factories import phase, processor
from tests.integration.duckdb_house import DuckDBHouse
from tests.integration.warehouses import LakeHouse

DAY, NEXT = dt.date(2024, 3, 1), dt.date(2024, 3, 2)
AT = dt.datetime(2024, 3, 2, 3, tzinfo=dt.UTC)
"""It is still 22:00 of the day before in New York."""
RULE = {"quality": {"where": "EXTRACT(DAY FROM made_at AT TIME ZONE 'America/New_York') = 1"}}
BOX = phase("raw", processor("box", date_column="made_at", date_timezone="America/New_York", expect=RULE))


def write(house: LakeHouse, *units: str) -> None:
    folder = house.root / "nba" / "box"
    folder.mkdir(parents=True)
    for unit in units:
        rows = arrow.table({"made_at": arrow.array([AT], arrow.timestamp(unit, tz="UTC"))})
        parquet.write_table(rows, folder / f"{unit}.parquet")


@pytest.mark.parametrize("units", [["us"], ["ns"], ["ns", "us"]])
def test_an_instant_in_a_lake_has_its_day_in_the_stated_zone_whatever_its_unit(
    lake_house: LakeHouse, units: list[str]
) -> None:
    write(lake_house, *units)
    answers = lake_house.open(BOX, history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
    assert [answers["box", day].rows for day in (DAY, NEXT)] == [len(units), 0]
    assert answers["box", DAY].passing_rows == len(units)


def test_a_local_time_in_nanoseconds_has_its_own_day(lake_house: LakeHouse) -> None:
    folder = lake_house.root / "nba" / "box"
    folder.mkdir(parents=True)
    rows = arrow.table({"made_at": arrow.array([AT.replace(tzinfo=None)], arrow.timestamp("ns"))})
    parquet.write_table(rows, folder / "a.parquet")
    box = phase("raw", processor("box", date_column="made_at", date_timezone="America/New_York"))
    answers = lake_house.open(box, history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
    assert [answers["box", day].rows for day in (DAY, NEXT)] == [0, 1]


def test_an_instant_in_a_duckdb_file_has_its_day_in_the_stated_zone(tmp_path: Path) -> None:
    house = DuckDBHouse(tmp_path)
    house.run(f"CREATE TABLE nba.box AS SELECT TIMESTAMPTZ '{AT}'::TIMESTAMPTZ_NS AS made_at")
    answers = house.open(BOX, history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
    assert [answers["box", day].rows for day in (DAY, NEXT)] == [1, 0]
    house.close()
