"""What every warehouse must count for rules about keys, groups, empty values and predicates."""

import pytest

from backfilld.state.rules.expectations.aggregate_types import GroupCounts
from tests.conformance.builders import NEXT, ask, box, rows
from tests.conformance.platform_suite import PlatformSuite
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House

_SEPARATORS = "\x1c\x1d\x1e\x1f"
"""Which only Python calls white space; Unicode does not."""


class RuleSuite(PlatformSuite):
    """The part of `WarehouseSuite` that concerns figures of single rules."""

    def test_zero_is_a_value_where_the_rule_says_so(self, house: House) -> None:
        house.put("nba.box", rows(1, pct=0.0) + rows(1, pct=None) + rows(1, pct=1.0))
        rule = {"filled": {"columns": ["pct"], "zero_is_empty": False}}
        assert ask(house, box(**rule))["box"].empty_counts == {"pct": 1}

    def test_texts_that_look_like_numbers_of_any_size_are_values(self, house: House) -> None:
        texts = ["9" * 5000, "9" * 990 + "e999", "1e99999", "0x0", "0 0", "000", "0e5", ".0", "0_0", "Nan"]
        empty = ["nan", "NaN", "0", "-0.0"]
        house.put("nba.box", [{"game_date": DAY, "game_id": "g", "name": text} for text in [*texts, *empty]])
        assert ask(house, box(filled={"columns": ["name"]}))["box"].empty_counts == {"name": 4}

    def test_white_space_of_any_kind_is_blank_and_beside_anything_else_is_not(self, house: House) -> None:
        spaces = [char for char in map(chr, range(1, 0x3001)) if char.isspace()]
        blank = ["", *(char for char in spaces if char not in _SEPARATORS)]
        assert len(blank) == 26
        texts = [*blank, " \t\r\n\u00a0\u2009\u3000", "\ta", ".", "\u200b", "\u4e2d"]
        house.put("nba.box", [{"game_date": DAY, "game_id": "g", "name": text} for text in texts])
        found = ask(house, box(filled={"columns": ["name"]}))["box"]
        assert found.empty_counts == {"name": len(blank) + 1}

    def test_keys_of_several_columns_are_counted_and_no_value_runs_into_the_next(self, house: House) -> None:
        # Given two pairs that read alike when they are put together, one pair twice, and NULL twice
        pairs = [("a", "bc"), ("ab", "c"), ("x", "y"), ("x", "y"), (None, "z"), (None, "z"), ("-", "z")]
        house.put("nba.box", [{"game_date": DAY, "game_id": a, "team": b} for a, b in pairs])
        rule = {"unique": {"columns": ["game_id", "team"]}}
        found = ask(house, box(**rule))["box"]
        assert (found.rows, found.distinct_keys) == (7, 5)

    def test_keys_may_be_numbers_and_dates(self, house: House) -> None:
        house.put("nba.box", [{"game_date": DAY, "id": n, "made": DAY} for n in (1, 2, 2)])
        rule = {"unique": {"columns": ["id", "made"]}}
        assert ask(house, box(**rule))["box"].distinct_keys == 2

    def test_the_sizes_of_groups_are_counted_per_date_in_the_same_query(self, house: House) -> None:
        # Given a game of one row, a game of three, and a whole one
        sizes = {"g1": 1, "g2": 3, "g3": 2}
        house.put(
            "nba.box",
            [{"game_date": DAY, "game_id": game} for game, count in sizes.items() for _ in range(count)]
            + rows(4, date=NEXT) * 2,
        )
        rule = {"rows_each": {"group_by": ["game_id"], "rows": [2, 2]}}

        # When
        warehouse = house.open(box(**rule), history=None)
        answers = warehouse.evidence({"box": [DAY, NEXT]}, purpose="gate")

        # Then
        assert answers["box", DAY].groups == GroupCounts(
            groups=3, too_small=1, too_large=1, smallest=1, largest=3
        )
        assert answers["box", NEXT].groups == GroupCounts(
            groups=4, too_small=0, too_large=0, smallest=2, largest=2
        )
        assert len(house.queries) == 1

    def test_a_group_by_a_column_that_is_missing_is_an_error_of_its_table(self, house: House) -> None:
        house.put("nba.box", rows(2))
        house.put("nba.other", rows(2))
        broken = {"rows_each": {"group_by": ["nope"], "rows": [2, 2]}}
        both = [
            processor("box", date_column="game_date", expect=broken),
            processor("other", date_column="game_date"),
        ]
        answers = ask(house, phase("raw", *both))
        assert answers["box"].error.startswith("nba.box: ")
        assert answers["other"].rows == 2

    @pytest.mark.parametrize(
        ("where", "sound"),
        [("box.pct >= 95", True), ("pct >= 95 AND nope > 1", False)],
    )
    def test_preflight_and_gates_say_the_same_of_a_predicate(
        self, house: House, where: str, sound: bool
    ) -> None:
        house.put("nba.box", rows(1, pct=96.0))
        phase_of_box = box(quality={"where": where})
        problem = house.open(phase_of_box, history=None).rule_problem("box", DAY)
        assert (problem == "") is sound
        assert (ask(house, phase_of_box)["box"].error == "") is sound
