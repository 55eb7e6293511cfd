"""Iceberg tables in a lake, held to the suite of warehouses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.partition_suite import PartitionSuite
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.conformance.write_stamp_suite import WriteStampSuite
from tests.integration.iceberg_house import IcebergHouse


class TestIceberg(WarehouseSuite, WriteStampSuite, PartitionSuite):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[IcebergHouse]:
        house = IcebergHouse(tmp_path)
        yield house
        house.close()
