"""BigQuery's own ways to say of which date a row is, and the preflight of columns of times."""

from pathlib import Path

import pytest
from google.cloud import bigquery

from backfilld.daemon.preflight.checklist import preflight
from backfilld.daemon.warehouses.bigquery.catalog import BigQueryCatalog
from tests.factories import phase, processor
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
