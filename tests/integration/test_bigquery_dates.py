"""BigQuery's own ways to say of which date a row is, and the preflight of columns of times."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from google.cloud import bigquery

from backfilld.daemon.preflight.checklist import preflight
from backfilld.daemon.warehouses.bigquery.table_metadata import BigQueryCatalog
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import phase, pipeline, processor
from tests.integration.warehouses import DAY, BigQueryHouse

BOX = phase("raw", processor("box"))


@pytest.fixture
def catalog(bigquery_house: BigQueryHouse) -> BigQueryCatalog:
    """The catalog of a project with a table that is partitioned by the time of loading."""
    schema = [bigquery.SchemaField("game_id", "STRING"), bigquery.SchemaField("made_at", "DATETIME")]
    table = bigquery.Table(f"{bigquery_house.project}.nba.box", schema)
    table.time_partitioning = bigquery.TimePartitioning()
    bigquery_house.client.create_table(table)
    catalog = bigquery_house.open(BOX).catalog
    assert isinstance(catalog, BigQueryCatalog)
    return catalog


def test_a_table_that_is_partitioned_by_loading_has_columns_that_its_schema_does_not_list(
    catalog: BigQueryCatalog,
) -> None:
    info = catalog.describe("nba.box")
    assert info is not None
    assert info.columns == {"game_id", "made_at", "_partitiondate", "_partitiontime"}
    assert info.time_columns == {"made_at": "datetime", "_partitiontime": "timestamp"}


@pytest.mark.parametrize(
    ("column", "daily"), [("_PARTITIONDATE", True), ("_PARTITIONTIME", True), ("made_at", False)]
)
def test_its_partitions_are_those_of_its_time_of_loading(
    catalog: BigQueryCatalog, column: str, daily: bool
) -> None:
    assert catalog.is_partitioned_by_day("nba.box", column) is daily


def test_preflight_finds_the_date_column_of_a_table_that_is_partitioned_by_loading(
    bigquery_house: BigQueryHouse, catalog: BigQueryCatalog, tmp_path: Path
) -> None:
    assert catalog.describe("nba.box") is not None
    path = tmp_path / "pipeline.toml"
    path.write_text(
        f'name = "nba"\n[warehouse]\nkind = "bigquery"\nproject = "{bigquery_house.project}"\n'
        f'endpoint = "{bigquery_house.endpoint}"\n[[phase]]\nname = "raw"\n'
        + "".join(
            f'[[phase.processor]]\nname = "{name}"\ntable = "nba.box"\ndate_column = "{column}"\n'
            'command = ["true", "{date}"]\n'
            for name, column in (("box", "_PARTITIONDATE"), ("other", "_PARTITIONDAY"))
        )
    )
    results = preflight(path, now=1764547200.0, start=DAY, end=DAY, quick=True).results
    lines = [finding.line for result in results if result.check == "columns" for finding in result.findings]
    assert [line for line in lines if "_PARTITIONDAY" in line]
    assert not [line for line in lines if "_PARTITIONDATE" in line]


@pytest.mark.parametrize(("zone", "told"), [("", True), ("America/New_York", False)])
def test_preflight_names_a_column_of_times_without_a_zone(
    bigquery_house: BigQueryHouse, tmp_path: Path, zone: str, told: bool
) -> None:
    bigquery_house.run("CREATE TABLE nba.box (made_at TIMESTAMP)")
    path = tmp_path / "pipeline.toml"
    path.write_text(
        f'name = "nba"\n[warehouse]\nkind = "bigquery"\nproject = "{bigquery_house.project}"\n'
        f'endpoint = "{bigquery_house.endpoint}"\n[[phase]]\nname = "raw"\n[[phase.processor]]\n'
        'name = "box"\ntable = "nba.box"\ndate_column = "made_at"\ncommand = ["true", "{date}"]\n'
        + (f'date_timezone = "{zone}"\n' if zone else "")
    )
    results = preflight(path, now=1764547200.0, start=DAY, end=DAY, quick=True).results
    lines = [finding.line for result in results if result.check == "columns" for finding in result.findings]
    sentence = "nba.box.made_at is a TIMESTAMP, of which box does not say where its days begin"
    assert (sentence in lines) is told


def sharded(**expect: Any) -> Any:
    """A processor with a table for each date."""
    return phase("raw", processor("events", table="nba.events_*", date_column="_TABLE_SUFFIX", expect=expect))


def test_a_table_for_each_date_is_counted_by_its_suffix(bigquery_house: BigQueryHouse) -> None:
    # Given two dates, and tables of other names that begin alike
    for suffix, rows in (("20211026", 2), ("20211027", 1), ("20211026_old", 7), ("intraday_20211026", 7)):
        bigquery_house.run(f"CREATE TABLE nba.events_{suffix} (game_id STRING)")
        values = ", ".join(["('g')"] * rows)
        bigquery_house.run(f"INSERT INTO nba.events_{suffix} VALUES {values}")
    warehouse = bigquery_house.open(sharded(unique={"columns": ["game_id"]}), history=None)
    days = [DAY, DAY + dt.timedelta(days=1), DAY + dt.timedelta(days=300)]
    for wanted in (days, days[:2], days[:1]):
        answers = warehouse.evidence({"events": wanted}, purpose="gate", stamps={"events": wanted})
        counted = [(answers["events", day].rows, answers["events", day].distinct_keys) for day in wanted]
        assert counted == [(2, 1), (1, 1), (0, 0)][: len(wanted)]
        assert {found.write_stamp for found in answers.values()} == {None}
    info = warehouse.catalog.describe("nba.events_*")
    assert info is not None
    assert info.columns == {"game_id", "_table_suffix"}
    assert warehouse.catalog.describe("nba.nothing_*") is None


@pytest.mark.parametrize(
    ("keys", "kind"),
    [
        ({"table": "nba.events_*"}, {"kind": "bigquery", "project": "p"}),
        ({"table": "nba.events", "date_column": "_TABLE_SUFFIX"}, {"kind": "bigquery", "project": "p"}),
        ({"table": "nba.events_*", "date_column": "_TABLE_SUFFIX"}, {"kind": "lake", "path": "lake"}),
        ({"table": "nba.ev*_x", "date_column": "_TABLE_SUFFIX"}, {"kind": "bigquery", "project": "p"}),
    ],
)
def test_a_star_goes_with_the_suffix_on_bigquery_alone(keys: dict[str, str], kind: dict[str, str]) -> None:
    with pytest.raises(PipelineError, match=r"phase\[raw\]\.processor\[events\]\.table: "):
        pipeline(phase("raw", processor("events", **keys)), warehouse=kind)
