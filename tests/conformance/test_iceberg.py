"""Iceberg tables in a lake, held to the suites of what their snapshot decides: dates, stamps and partitions.

The queries are the lake's own. `WarehouseSuite` as a base class holds them to all of it, in half a minute.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.date_suite import DateSuite
from tests.conformance.partition_suite import PartitionSuite
from tests.conformance.write_stamp_suite import WriteStampSuite
from tests.integration.iceberg_house import IcebergHouse


class TestIceberg(DateSuite, WriteStampSuite, PartitionSuite):
    @pytest.fixture
    def house(self, tmp_path: Path) -> Iterator[IcebergHouse]:
        house = IcebergHouse(tmp_path)
        yield house
        house.close()
