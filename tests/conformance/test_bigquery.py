"""BigQuery behind its real client, held to the suite of warehouses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.warehouse_suite import WarehouseSuite
from tests.integration.warehouses import BigQueryHouse


class TestBigQuery(WarehouseSuite):
    @pytest.fixture
    def house(self, bigquery_endpoint: str, tmp_path: Path) -> Iterator[BigQueryHouse]:
        house = BigQueryHouse(bigquery_endpoint, tmp_path)
        yield house
        house.close()
