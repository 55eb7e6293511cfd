"""What both warehouses tell of their tables before anything is asked of the rows."""

import time
from typing import cast

import duckdb
import pytest

from backfilld.daemon.warehouses.adapter import Catalog, QueryError, WarehouseError
from backfilld.daemon.warehouses.bigquery.table_metadata import BigQueryCatalog
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from tests.factories import phase, pipeline, processor
from tests.integration.warehouses import DAY, BigQueryHouse, House, LakeHouse


def catalog(house: House) -> Catalog:
    return house.open(phase("raw", processor("box"))).catalog


@pytest.mark.parametrize("house", ["lake", "bigquery"], indirect=True)
def test_a_table_tells_its_columns_its_partitions_and_its_last_change(house: House) -> None:
    # Given
    house.put("nba.box", [{"game_date": DAY, "Game_ID": "a", "points": 7}])
    # When
    found = catalog(house).describe("nba.box")
    # Then
    assert found is not None
    assert {"game_date", "game_id", "points"} <= found.columns
    assert (found.partition_column, found.require_filter) == ("game_date", False)
    assert found.expiration_seconds is None
    assert found.modified_at is not None
    assert abs(time.time() - found.modified_at) < 600


def test_a_bigquery_dataset_tells_where_it_lies(bigquery_house: BigQueryHouse) -> None:
    lies_in = cast(BigQueryCatalog, catalog(bigquery_house)).location
    assert lies_in("nba.box")
    assert lies_in("elsewhere.box") is None


def test_partitions_that_expire_are_told(bigquery_house: BigQueryHouse) -> None:
    bigquery_house.put("nba.cache", [{"cache_date": DAY, "player": "a"}], by="cache_date")
    table = bigquery_house.client.get_table("nba.cache")
    assert table.time_partitioning is not None
    table.time_partitioning.expiration_ms = 30 * 86_400_000
    bigquery_house.client.update_table(table, ["time_partitioning"])
    found = catalog(bigquery_house).describe("nba.cache")
    assert found is not None
    assert (found.partition_column, found.expiration_seconds) == ("cache_date", 30 * 86_400)


def test_a_server_that_is_not_there_is_an_error_within_seconds() -> None:
    nowhere = {"kind": "bigquery", "project": "p", "endpoint": "http://127.0.0.1:9"}
    asked = open_warehouse(pipeline(phase("raw", processor("box")), warehouse=nowhere)).catalog
    with pytest.raises(WarehouseError, match="cannot be reached"):
        asked.describe_connection()


def test_a_lake_that_is_not_there_is_an_error(lake_house: LakeHouse) -> None:
    lake_house.root.rmdir()
    with pytest.raises(WarehouseError, match="there is no lake at"):
        catalog(lake_house).describe_connection()


def test_a_file_that_vanished_and_the_lakes_own_path_tell_nothing_of_a_table(lake_house: LakeHouse) -> None:
    # Given a table without partitions in a lake below a folder like a partition's
    lake_house.root = lake_house.root.parent / "stage=test" / "lake"
    table = lake_house.root / "nba" / "teams"
    table.mkdir(parents=True)
    duckdb.sql("SELECT 'BOS' AS team").write_parquet(str(table / "part-0.parquet"))
    (table / "part-1.parquet").symlink_to(table / "replaced.parquet")
    # When
    found = catalog(lake_house).describe("nba.teams")
    # Then
    assert found is not None
    assert (found.columns, found.partition_column) == ({"team"}, None)


def test_a_file_that_is_no_parquet_is_refused_by_name(lake_house: LakeHouse) -> None:
    partition = lake_house.root / "nba" / "box" / "game_date=2021-10-26"
    partition.mkdir(parents=True)
    (partition / "part-0.parquet").write_text("not parquet")
    with pytest.raises(QueryError, match=r"part-0\.parquet"):
        catalog(lake_house).describe("nba.box")
