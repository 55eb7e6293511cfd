"""What every warehouse must answer beside counts of rows: run history, calendar, tables, cost, closing."""

import datetime as dt

import pytest

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.rules.evidence import Evidence
from tests.conformance.builders import NEXT, box, rows, stamps
from tests.integration.warehouses import DAY, HISTORY, START, House, closed, entry


class PlatformSuite:
    """The part of `WarehouseSuite` that concerns the platform around the tables."""

    def test_the_latest_closed_run_and_the_latest_open_run_are_known(self, house: House) -> None:
        house.put("nba.box", rows(1, date=NEXT))
        house.put(
            HISTORY,
            [
                *closed("box", "r1", "success", hours=0),
                *closed("box", "r2", "failed", hours=1, errors="no games"),
                entry("box", "r3", "running", hours=2),
                *closed("box", "r4", "success", hours=3, day=NEXT),
            ],
            by="data_date",
            types={"errors": "STRING"},
        )
        answers = house.open(box()).evidence({"box": [DAY, NEXT]}, purpose="gate")
        first, second = answers["box", DAY], answers["box", NEXT]
        assert first.rows == 0
        assert first.closed is not None
        assert (first.closed.succeeded, first.closed.detail) == (False, "no games")
        assert first.open is not None
        assert first.open.started_at - first.closed.started_at == 3600
        assert second.closed is not None
        assert (second.closed.succeeded, second.open) == (True, None)

    @pytest.mark.parametrize(("timezone", "hours"), [("America/New_York", 5), ("Asia/Kolkata", -5.5)])
    def test_local_times_of_the_history_are_those_of_its_zone(
        self, house: House, timezone: str, hours: float
    ) -> None:
        house.put("nba.box", rows(1, date=NEXT))
        local = {"started_at": "DATETIME", "processed_at": "DATETIME", "errors": "STRING"}
        runs = [*closed("box", "r1", "failed"), entry("box", "r2", "running", hours=1)]
        house.put(HISTORY, runs, by="data_date", types=local)
        history = {"table": HISTORY, "timezone": timezone}
        found = house.open(box(), history=history).evidence({"box": [DAY]}, purpose="gate")["box", DAY]
        assert (found.error, found.open is None, found.closed is None) == ("", False, False)
        assert found.open is not None
        assert found.closed is not None
        began = START + dt.timedelta(hours=hours)
        assert found.open.started_at == (began + dt.timedelta(hours=1)).timestamp()
        assert found.closed.started_at == began.timestamp()

    def test_a_history_without_optional_columns_is_read(self, house: House) -> None:
        house.put("nba.box", rows(1, date=NEXT))
        kept = ("processor_name", "data_date", "status", "started_at")
        runs = [{name: row[name] for name in kept} for row in closed("box", "r1", "failed")]
        house.put(HISTORY, runs, by="data_date")
        found = house.open(box()).evidence({"box": [DAY]}, purpose="gate")["box", DAY]
        assert found.closed is not None
        assert (found.error, found.closed.succeeded) == ("", False)

    def test_a_history_that_is_broken_leaves_rows_judged_and_absence_open(self, house: House) -> None:
        house.put("nba.box", rows(1))
        house.put(HISTORY, [{"data_date": DAY, "processor_name": "box"}], by="data_date")
        answers = house.open(box()).evidence({"box": [DAY, NEXT]}, purpose="gate")
        assert answers["box", DAY] == Evidence(rows=1)
        assert answers["box", NEXT].error.startswith("run history could not be read: ")

    def test_the_calendars_query_counts_each_date_of_the_range(self, house: House) -> None:
        house.put("nba.schedule", [*rows(2), *rows(1, date=NEXT)])
        query = (
            "SELECT game_date AS date, COUNT(DISTINCT game_id) AS games FROM nba.schedule"
            " WHERE game_date BETWEEN @start AND @end GROUP BY 1"
        )
        warehouse = house.open(box(), calendar={"query": query})
        assert warehouse.counts(DAY, NEXT + dt.timedelta(days=9)) == {DAY: {"games": 2}, NEXT: {"games": 1}}
        assert warehouse.counts(NEXT, NEXT) == {NEXT: {"games": 1}}
        assert house.queries == [("calendar", 0)] * 2

    @pytest.mark.parametrize(
        "query", ["SELECT nope FROM nba.schedule", "SELECT FROM WHERE", "SELECT 1 AS date"]
    )
    def test_a_calendar_that_cannot_be_read_is_an_error(self, house: House, query: str) -> None:
        house.put("nba.schedule", rows(1))
        with pytest.raises(WarehouseError, match=r"calendar\.query"):
            house.open(box(), calendar={"query": query}).counts(DAY, NEXT)

    def test_a_table_is_described_by_its_columns(self, house: House) -> None:
        house.put("nba.box", [{"game_date": DAY, "Game_ID": "a", "points": 7}])
        catalog = house.open(box()).catalog
        info = catalog.describe("nba.box")
        assert info is not None
        assert {"game_date", "game_id", "points"} <= info.columns
        assert catalog.describe("nba.nowhere") is None
        assert catalog.describe_connection() != ""

    def test_its_preflight_checks_have_names_of_their_own(self, house: House) -> None:
        names = [check.name for check in house.open(box()).catalog.preflight_checks()]
        assert len(names) == len(set(names))

    def test_bytes_are_estimated_where_they_are_billed(self, house: House) -> None:
        house.put("nba.box", rows(1))
        warehouse = house.open(box(), history=None)
        billed = "price" in warehouse_adapter(house.kind).capabilities
        assert (warehouse.estimate_bytes({"box": [DAY]}) > 0) is billed
        assert warehouse.estimate_bytes({}) == 0
        assert house.queries == []

    def test_no_write_stamp_is_read_unless_it_is_wanted(self, house: House) -> None:
        house.put("nba.box", rows(1))
        answers = house.open(box(), history=None).evidence({"box": [DAY]}, purpose="gate")
        assert answers["box", DAY].write_stamp is None

    def test_only_a_kind_with_the_capability_tells_write_stamps(self, house: House) -> None:
        house.put("nba.box", rows(1))
        told = "write_stamp" in warehouse_adapter(house.kind).capabilities
        assert [stamp is not None for stamp in stamps(house).values()] == [told, told]

    def test_closing_twice_does_no_harm(self, house: House) -> None:
        house.put("nba.box", rows(1))
        warehouse = house.open(box(), history=None)
        warehouse.evidence({"box": [DAY]}, purpose="gate")
        warehouse.close()
        warehouse.close()
