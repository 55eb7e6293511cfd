"""What a warehouse with the capability `write_stamp` must answer."""

from tests.conformance.builders import NEXT, rows, stamps
from tests.integration.warehouses import DAY, House


class WriteStampSuite:
    """The tests that a warehouse inherits besides, if its kind has the capability `write_stamp`."""

    def test_a_write_stamp_stays_while_nothing_is_written(self, house: House) -> None:
        house.put("nba.box", rows(2) + rows(2, date=NEXT))
        assert stamps(house) == stamps(house)

    def test_a_write_stamp_changes_when_equal_rows_are_written_and_on_no_other_date(
        self, house: House
    ) -> None:
        house.put("nba.box", rows(2) + rows(2, date=NEXT))
        before = stamps(house)
        house.rewrite("nba.box", DAY)
        after = stamps(house)
        assert after[DAY] != before[DAY]
        assert after[NEXT] == before[NEXT]

    def test_a_date_without_rows_has_a_write_stamp_that_changes_with_the_first_ones(
        self, house: House
    ) -> None:
        house.put("nba.box", rows(2))
        before = stamps(house)
        house.put("nba.box", rows(2, date=NEXT))
        after = stamps(house)
        assert None not in (before[NEXT], after[NEXT])
        assert (after[NEXT] == before[NEXT], after[DAY] == before[DAY]) == (False, True)
