"""What every warehouse must answer for `expect.keys`: which keys of another table the rows of a date have."""

import datetime as dt

from backfilld.state.rules.expectations.aggregate_types import KeyCounts
from tests.conformance.builders import NEXT, ask, box, rows
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House

SHOPS = {"keys": {"columns": ["game_id"], "from": "nba.ref", "where": "ref.open = 1"}}


def games(*names: str | None, date: dt.date = DAY, **columns: object) -> list[dict[str, object]]:
    """Rows of these games."""
    return [{"game_date": date, "game_id": name, **columns} for name in names]


class KeySuite:
    """The part of `WarehouseSuite` that concerns the keys of another table."""

    def test_keys_are_counted_per_date_and_one_of_each_kind_is_named(self, house: House) -> None:
        # Given g1 twice, g2 and g3 missing, g9 and NULL extra, and a game that is not to be counted
        house.put("nba.box", games("g1", "g1", "g9", None) + games("g4", date=NEXT))
        house.put("nba.ref", games("g1", "g3", "g2", open=1) + games("g7", open=0))
        house.put("nba.ref", games("g4", date=NEXT, open=1))

        # When
        answers = house.open(box(**SHOPS), history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")

        # Then
        assert answers["box", DAY].keys == KeyCounts(
            expected=3, missing=2, extra=2, missing_key="g2", extra_key="NULL"
        )
        assert answers["box", NEXT].keys == KeyCounts(expected=1, missing=0, extra=0)
        assert len(house.queries) == 2

    def test_keys_of_several_columns_have_other_names_and_types_there(self, house: House) -> None:
        house.put("nba.box", [{"game_date": DAY, "shop": n, "kind": "a, b"} for n in (7, 8)])
        house.put("nba.ref", [{"day": DAY, "id": n, "kind": "a, b"} for n in ("7", "9")], by="day")
        keys = {"columns": ["shop", "kind"], "from": "nba.ref", "from_columns": ["id", "kind"]}
        found = ask(house, box(keys={**keys, "date_column": "day"}))["box"]
        assert found.keys == KeyCounts(
            expected=2, missing=1, extra=1, missing_key="9, a, b", extra_key="8, a, b"
        )

    def test_a_table_without_dates_has_its_keys_on_every_date(self, house: House) -> None:
        house.put("nba.box", games("g1", "g2") + games("g1", date=NEXT))
        house.put(
            "nba.ref",
            [{"game_id": name, "open": n} for name, n in (("g1", 1), ("g2", 1), ("g3", 0))],
            by=None,
        )
        rule = {"keys": {**SHOPS["keys"], "every_date": True}}
        answers = house.open(box(**rule), history=None).evidence({"box": [DAY, NEXT]}, purpose="gate")
        assert answers["box", DAY].keys == KeyCounts(expected=2, missing=0, extra=0)
        assert answers["box", NEXT].keys == KeyCounts(expected=2, missing=1, extra=0, missing_key="g2")

    def test_a_date_without_keys_there_has_none_to_compare_with(self, house: House) -> None:
        house.put("nba.box", games("g1"))
        house.put("nba.ref", games("g1", date=NEXT, open=1))
        found = ask(house, box(**SHOPS))["box"]
        assert found.keys is not None
        assert found.keys.expected == 0

    def test_the_keys_of_another_output_are_those_of_its_date_column(self, house: House) -> None:
        house.put("nba.box", games("g1"))
        house.put("nba.source", [{"day": DAY, "game_id": name} for name in ("g1", "g2")], by="day")
        first = phase("raw", processor("source", date_column="day"))
        rule = {"keys": {"columns": ["game_id"], "of": "source"}}
        answers = ask(house, first, phase("made", processor("box", date_column="game_date", expect=rule)))
        assert answers["box"].keys == KeyCounts(expected=2, missing=1, extra=0, missing_key="g2")
        assert answers["box"].reference == 2

    def test_keys_that_cannot_be_queried_leave_their_date_unknown_and_others_judged(
        self, house: House
    ) -> None:
        # Given
        house.put("nba.box", games("g1", "g2"))
        house.put("nba.other", rows(2))
        house.put("nba.ref", games("g1", open=1))
        rule = {"keys": {**SHOPS["keys"], "where": "nope = 1"}}
        both = [
            processor("box", date_column="game_date", expect=rule),
            processor("other", date_column="game_date"),
        ]

        # When
        phases = phase("raw", *both)
        answers = ask(house, phases)

        # Then
        assert answers["box"].error.startswith("nba.box: expect.keys cannot be queried: ")
        assert answers["other"].rows == 2
        assert house.open(phases, history=None).rule_problem("box", DAY).startswith("expect.keys: ")
