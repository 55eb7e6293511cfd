"""PostgreSQL on a real server, held to the suite of warehouses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.no_rows_suite import LateralJoinSuite
from tests.conformance.partition_suite import PartitionSuite
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.conformance.write_stamp_suite import WriteStampSuite
from tests.integration.postgresql_house import PostgresqlHouse


class TestPostgresql(WarehouseSuite, LateralJoinSuite, WriteStampSuite, PartitionSuite):
    @pytest.fixture
    def house(self, postgresql_warehouse: str, tmp_path: Path) -> Iterator[PostgresqlHouse]:
        house = PostgresqlHouse(postgresql_warehouse, tmp_path)
        yield house
        house.close()
