"""What every warehouse must answer for `expect.no_rows`: what SQL about a date finds."""

import datetime as dt

from tests.conformance.builders import NEXT, ask, box, rows
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House

ORPHANS = (
    "SELECT box.game_id FROM nba.box AS box LEFT JOIN nba.games AS games ON box.game_id = games.game_id"
    " WHERE box.game_date = @date AND games.game_id IS NULL -- '@date' in a comment;"
)


class NoRowsSuite:
    """The part of `WarehouseSuite` that concerns SQL that must find nothing."""

    def test_each_date_has_its_own_rows_and_two_of_them_are_named(self, house: House) -> None:
        # Given three orphans on one date, none on the next, and a date without rows
        house.put("nba.box", rows(5) + rows(2, date=NEXT))
        house.put("nba.games", [{"game_id": name} for name in ("g0", "g1")], by=None)
        later = NEXT + dt.timedelta(days=1)

        # When
        warehouse = house.open(box(no_rows=ORPHANS), history=None)
        answers = warehouse.evidence({"box": [DAY, NEXT, later]}, purpose="gate")

        # Then
        first, second = (answers["box", date].offending for date in (DAY, NEXT))
        assert first is not None
        assert second is not None
        assert (first.rows, second.rows) == (3, 0)
        assert [example.replace(" ", "") for example in first.examples] == [
            '{"game_id":"g2"}',
            '{"game_id":"g4"}',
        ]
        assert answers["box", later].offending is None
        assert len(house.queries) == 2

    def test_sql_that_is_refused_leaves_its_processor_unknown_and_no_other(self, house: House) -> None:
        sql = "SELECT nope FROM nba.box WHERE game_date = @date"
        house.put("nba.box", rows(2) + rows(2, date=NEXT))
        house.put("nba.other", rows(2))
        broken = processor("box", date_column="game_date", expect={"no_rows": sql})
        both = phase("raw", broken, processor("other", date_column="game_date"))
        answers = ask(house, both)
        assert answers["box"].error.startswith("nba.box: expect.no_rows cannot be queried: ")
        assert answers["other"].rows == 2
        assert house.open(both, history=None).rule_problem("box", DAY).startswith("expect.no_rows: ")


class LateralJoinSuite:
    """For warehouses whose SQL has LATERAL: the rows that a join finds for each row of a date."""

    def test_a_lateral_join_may_read_the_date_and_other_tables(self, house: House) -> None:
        # Given rows of which one, and on the next date two, are missing in another table
        house.put("nba.box", rows(3) + rows(3, date=NEXT))
        house.put("nba.games", rows(2) + rows(1, date=NEXT))
        others = (
            "SELECT COUNT(*) AS n FROM nba.games AS g WHERE g.game_id = b.game_id AND g.game_date = @date"
        )
        for join in (f"JOIN LATERAL ({others}) AS x ON TRUE", f", LATERAL ({others}) AS x"):
            sql = f"SELECT b.game_id FROM nba.box AS b {join} WHERE b.game_date = @date AND x.n = 0"
            warehouse = house.open(box(no_rows=sql), history=None)
            answers = warehouse.evidence({"box": [DAY, NEXT]}, purpose="gate")
            found = [answers["box", date].offending for date in (DAY, NEXT)]
            assert [one and one.rows for one in found] == [1, 2]
            assert warehouse.rule_problem("box", DAY) == ""
