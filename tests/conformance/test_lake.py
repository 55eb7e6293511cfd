"""The lake, held to the suite of warehouses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.no_rows_suite import LateralJoinSuite
from tests.conformance.partition_suite import PartitionSuite
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.conformance.write_stamp_suite import WriteStampSuite
from tests.integration.warehouses import LakeHouse


class TestLake(WarehouseSuite, LateralJoinSuite, WriteStampSuite, PartitionSuite):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[LakeHouse]:
        house = LakeHouse(tmp_path)
        yield house
        house.close()
