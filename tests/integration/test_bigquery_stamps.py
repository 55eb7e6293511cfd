"""Write stamps of BigQuery: the text of the query, what its rows mean, and which tables have any.

The emulator has the view, but not the time of each partition: rows are written here as Google documents them.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pytest

from backfilld.daemon.warehouses.adapter import Partition
from backfilld.daemon.warehouses.bigquery.write_stamps import NO_PARTITION, partitions_query, stamps_of
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, BigQueryHouse

NEXT = DAY + dt.timedelta(days=1)
WRITTEN = dt.datetime(2025, 12, 1, 9, 30, 15, 123456, tzinfo=dt.UTC)
BOX, LATER = (Partition("nba.box", "game_date", date) for date in (DAY, NEXT))
SUMMARY = Partition("nba.summary", "game_date", DAY)


def row(table: str, partition_id: str | None, **columns: Any) -> Mapping[str, Any]:
    """A row of the view as Google's client gives it."""
    return {
        "table_name": table,
        "partition_id": partition_id,
        "last_modified_time": WRITTEN,
        "total_rows": 10,
        "total_logical_bytes": 800,
        **columns,
    }


def test_one_query_asks_for_all_tables_and_dates_of_a_dataset() -> None:
    query = partitions_query("nba-props", "nba", [BOX, LATER, SUMMARY])
    assert query.sql("bigquery") == (
        "SELECT table_name, partition_id, last_modified_time, total_rows, total_logical_bytes"
        " FROM `nba-props`.`nba`.INFORMATION_SCHEMA.PARTITIONS"
        " WHERE table_name IN UNNEST(@tables) AND partition_id IN UNNEST(@partitions)"
    )
    assert query.params == {
        "tables": ("box", "summary"),
        "partitions": ("20211026", "20211027", "__UNPARTITIONED__", "__STREAMING_UNPARTITIONED__"),
    }


def test_a_dataset_of_another_project_is_asked_there() -> None:
    (select,) = partitions_query("nba-props", "other.nba", [Partition("other.nba.box", "d", DAY)]).selects
    assert " FROM `other`.`nba`.INFORMATION_SCHEMA.PARTITIONS " in select.statement.sql("bigquery")


@pytest.mark.parametrize(
    "change",
    [
        {"last_modified_time": WRITTEN + dt.timedelta(microseconds=1)},
        {"total_rows": 11},
        {"total_logical_bytes": 801},
    ],
)
def test_a_stamp_changes_with_the_time_the_rows_or_the_bytes(change: dict[str, Any]) -> None:
    before = stamps_of([row("box", "20211026")], [BOX])
    assert stamps_of([row("box", "20211026")], [BOX]) == before
    assert stamps_of([row("box", "20211026", **change)], [BOX]) != before


def test_a_table_without_the_partition_has_a_stamp_too() -> None:
    stamps = stamps_of([row("box", "20211026")], [BOX, LATER])
    assert stamps[LATER] == NO_PARTITION
    assert stamps[BOX] != NO_PARTITION


@pytest.mark.parametrize("partition_id", ["__UNPARTITIONED__", "__STREAMING_UNPARTITIONED__"])
def test_nothing_is_known_of_a_table_that_is_streamed_into(partition_id: str) -> None:
    rows = [row("box", "20211026"), row("box", partition_id), row("summary", "20211026")]
    assert set(stamps_of(rows, [BOX, LATER, SUMMARY])) == {SUMMARY}


def test_only_tables_with_a_partition_for_each_day_of_the_date_column_are_asked_for(
    bigquery_house: BigQueryHouse,
) -> None:
    # Given a table by day, one by month, one by another column, one without partitions, and a view
    columns = "(game_date DATE, loaded DATE)"
    bigquery_house.run(f"CREATE TABLE nba.daily {columns} PARTITION BY game_date")
    bigquery_house.run(f"CREATE TABLE nba.monthly {columns} PARTITION BY DATE_TRUNC(game_date, MONTH)")
    bigquery_house.run(f"CREATE TABLE nba.loaded {columns} PARTITION BY loaded")
    bigquery_house.run(f"CREATE TABLE nba.plain {columns}")
    bigquery_house.run("CREATE VIEW nba.view AS SELECT * FROM nba.daily")
    names = ["daily", "monthly", "loaded", "plain", "view"]
    made = phase("raw", *(processor(name, date_column="game_date") for name in names))
    wanted = {name: [DAY] for name in names}
    # When their stamps are wanted
    answers = bigquery_house.open(made, history=None).evidence(wanted, purpose="sweep", stamps=wanted)
    # Then one more query is sent, and only the first has one
    assert {name for (name, _), found in answers.items() if found.write_stamp} == {"daily"}
    assert [purpose for purpose, _ in bigquery_house.queries] == ["sweep", "sweep"]
    assert not any(found.error for found in answers.values())


def test_a_dataset_whose_view_cannot_be_read_leaves_the_rows_judged(
    bigquery_house: BigQueryHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    bigquery_house.put("nba.box", [{"game_date": DAY}])
    monkeypatch.setattr(
        "backfilld.daemon.warehouses.bigquery.write_stamps._PARTITIONS", "SELECT nope FROM {dataset}.nowhere"
    )
    made = phase("raw", processor("box", date_column="game_date"))
    found = bigquery_house.open(made, history=None).evidence(
        {"box": [DAY]}, purpose="gate", stamps={"box": [DAY]}
    )
    assert (found["box", DAY].rows, found["box", DAY].write_stamp, found["box", DAY].error) == (1, None, "")
    assert bigquery_house.errors == 1
