"""A DuckDB file, held to the suite of warehouses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.no_rows_suite import LateralJoinSuite
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.integration.duckdb_house import DuckDBHouse


class TestDuckDB(WarehouseSuite, LateralJoinSuite):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[DuckDBHouse]:
        house = DuckDBHouse(tmp_path)
        yield house
        house.close()
