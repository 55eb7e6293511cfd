"""What a warehouse that lists its partitions must answer for `expect.empty = "partition"`."""

from typing import Protocol

from tests.conformance.builders import NEXT, ask, box, rows
from tests.integration.warehouses import DAY, House

EMPTY = {"empty": "partition", "rows": [1]}


class PartitionedHouse(House, Protocol):
    """A warehouse under test whose tables can have partitions without rows."""

    def empty_partition(self) -> None:
        """Make `nba.box` with a partition of DAY that has no rows."""


class PartitionSuite:
    """The tests that a warehouse inherits besides, if its kind knows which partitions exist."""

    def test_a_partition_without_rows_exists_and_a_date_without_one_has_none(
        self, house: PartitionedHouse
    ) -> None:
        house.empty_partition()
        answers = house.open(box(**EMPTY), history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
        assert [(answers["box", date].rows, answers["box", date].error) for date in (DAY, NEXT)] == [
            (0, "")
        ] * 2
        assert [answers["box", date].has_partition for date in (DAY, NEXT)] == [True, False]

    def test_a_table_without_partitions_is_unknown_without_rows_and_counted_with_them(
        self, house: PartitionedHouse
    ) -> None:
        house.put("nba.box", rows(2), by=None)
        assert ask(house, box(**EMPTY))["box"].rows == 2
        error = ask(house, box(**EMPTY), date=NEXT)["box"].error
        assert error.startswith(
            "nba.box: expect.empty cannot be judged: the table has no partition for each date"
        )
        problem = house.open(box(**EMPTY), history=None).rule_problem("box", DAY)
        assert problem.startswith("expect.empty: the table has no partition")
