"""Rules with queries of their own, on a lake: in preflight, and with a file that spoils its own date."""

import datetime as dt
import math

import pyarrow as arrow
import pytest
from pyarrow import parquet

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.tables import columns, tables
from backfilld.daemon.reports.current_verdicts import take_snapshot
from backfilld.daemon.warehouses.sql import no_rows_rule_queries
from tests.conformance.builders import NEXT, box, rows
from tests.factories import NOW
from tests.integration.warehouses import DAY, LakeHouse
from tests.scratch_duckdb import scratch

KEYS = {"columns": ["game_id"], "from": "nba.ref"}


def preflight_failures(house: LakeHouse, **expect: object) -> list[str]:
    """What the checks of tables and columns find wrong."""
    warehouse = house.open(box(**expect), history=None)
    context = PreflightContext(
        pipeline=house.pipeline(box(**expect), history=None),
        warehouse=warehouse,
        catalog=warehouse.catalog,
        start=DAY,
        end=DAY,
        state_dir=None,
        database_url=None,
        now=NOW,
    )
    found = [*tables(context), *columns(context)]
    return [finding.line for finding in found if finding.status.value == "fail"]


def test_preflight_names_a_table_of_keys_that_does_not_exist(lake_house: LakeHouse) -> None:
    lake_house.put("nba.box", rows(1))
    assert preflight_failures(lake_house, keys=KEYS) == ["table nba.ref does not exist"]


def test_preflight_names_a_column_that_the_table_of_keys_does_not_have(lake_house: LakeHouse) -> None:
    lake_house.put("nba.box", rows(1))
    lake_house.put("nba.ref", rows(1))
    assert preflight_failures(lake_house, keys=KEYS) == []
    (line,) = preflight_failures(lake_house, keys={**KEYS, "where": "is_open"})
    assert line.startswith("nba.box cannot be queried for box.expect.keys: ")
    assert "is_open" in line


def test_one_drifted_file_of_keys_makes_its_own_date_unknown_and_is_named(lake_house: LakeHouse) -> None:
    # Given a file of the other table that has a text where the others have a number
    dates = [DAY + dt.timedelta(days=number) for number in range(4)]
    lake_house.put("nba.box", [row for date in dates for row in rows(2, date=date)])
    lake_house.put("nba.ref", [row for date in dates for row in rows(2, date=date, open=1)])
    (file,) = (lake_house.root / "nba" / "ref" / f"game_date={NEXT}").iterdir()
    with scratch() as connection:
        connection.execute(f"COPY (SELECT 'g0' AS game_id, 'yes' AS open) TO '{file}' (FORMAT parquet)")

    # When
    answers = lake_house.open(box(keys={**KEYS, "where": "open > 0"}), history=None).evidence(
        {"box": dates}, purpose="gate"
    )

    # Then
    errors = {date: answers["box", date].error for date in dates if answers["box", date].error}
    assert list(errors) == [NEXT]
    assert str(file) in errors[NEXT]
    assert all(answers["box", date].keys for date in dates if date != NEXT)


def test_half_of_the_usual_sum_is_degraded_by_the_complete_days_before(lake_house: LakeHouse) -> None:
    # Given ten days of rows that are alike in number, with half of the amount on the last one
    dates = [DAY + dt.timedelta(days=number) for number in range(10)]
    amounts = {date: 4 if date == dates[-1] else 9 for date in dates}
    lake_house.put("nba.box", [row for date in dates for row in rows(2, date=date, amount=amounts[date])])
    change = {"change": [{"of": "SUM(amount)", "days_back": 7, "min_days": 7, "min": 0.5}]}
    phases, keys = box(**change), {"history": None, "calendar": {}}

    # When the last two days are judged alone
    snapshot = take_snapshot(
        lake_house.pipeline(phases, **keys),
        lake_house.open(phases, **keys),
        dates[-2],
        dates[-1],
        now=NOW,
        purpose="validation",
    )

    # Then the days before were judged for that
    assert [snapshot.checks[date]["box"].verdict.value for date in dates[-2:]] == ["complete", "degraded"]
    assert snapshot.checks[dates[-1]]["box"].reason.startswith(
        "SUM(amount) is 8, 0.444 times the median of 18"
    )


def test_more_dates_than_one_query_of_no_rows_has_are_all_answered(
    lake_house: LakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(no_rows_rule_queries, "DATES_PER_QUERY", 3)
    dates = [DAY + dt.timedelta(days=number) for number in range(7)]
    lake_house.put("nba.box", [{"game_date": date, "game_id": "g", "n": date.day} for date in dates])
    sql = "SELECT n FROM nba.box WHERE game_date = @date AND n = 31"
    answers = lake_house.open(box(no_rows=sql), history=None).evidence({"box": dates}, purpose="gate")
    found = {date: answers["box", date].offending for date in dates}
    assert {date for date, one in found.items() if one and one.rows} == {d for d in dates if d.day == 31}
    assert None not in found.values()
    assert len(lake_house.queries) == 4


def test_nan_is_seen_that_arrow_leaves_out_of_the_statistics_of_a_column(lake_house: LakeHouse) -> None:
    # Given two of four values that are NaN, beside a least and a greatest value of 1 and 2
    folder = lake_house.root / "nba" / "box" / f"game_date={DAY}"
    folder.mkdir(parents=True)
    parquet.write_table(arrow.table({"pct": [1.0, math.nan, math.nan, 2.0]}), folder / "rows.parquet")
    by_predicate = box(quality={"where": "NOT isnan(pct)"})
    by_query = box(no_rows="SELECT pct FROM nba.box WHERE game_date = @date AND isnan(pct)")

    # When
    good = lake_house.open(by_predicate, history=None).evidence({"box": [DAY]}, purpose="gate")
    offending = lake_house.open(by_query, history=None).evidence({"box": [DAY]}, purpose="gate")

    # Then
    assert good["box", DAY].passing_rows == 2
    assert offending["box", DAY].offending.rows == 2
