"""What write stamps must do: for every warehouse, and for one with the capability `write_stamp`."""

import datetime as dt

from backfilld.daemon.adapters import warehouse_adapter
from tests.conformance.warehouse_suite import NEXT, box, rows
from tests.integration.warehouses import DAY, House


def stamps(house: House) -> dict[dt.date, str | None]:
    """The write stamps of `nba.box` on DAY and NEXT."""
    wanted = {"box": [DAY, NEXT]}
    answers = house.open(box(), history=None).evidence(wanted, purpose="sweep", stamps=wanted)
    return {date: evidence.write_stamp for (_, date), evidence in answers.items()}


class StampsWhereWanted:
    """The tests that each warehouse inherits."""

    def test_no_write_stamp_is_read_unless_it_is_wanted(self, house: House) -> None:
        house.put("nba.box", rows(1))
        answers = house.open(box(), history=None).evidence({"box": [DAY]}, purpose="gate")
        assert answers["box", DAY].write_stamp is None

    def test_only_a_kind_with_the_capability_tells_write_stamps(self, house: House) -> None:
        house.put("nba.box", rows(1))
        told = "write_stamp" in warehouse_adapter(house.kind).capabilities
        assert [stamp is not None for stamp in stamps(house).values()] == [told, told]


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
