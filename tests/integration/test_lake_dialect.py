"""SQL of the pipeline file on a lake: DuckDB's own, or BigQuery's where it is carried exactly."""

import datetime as dt
from typing import Any

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.evidence import Evidence
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, LakeHouse

BIGQUERY = {"dialect": "bigquery"}


def box(where: str = "TRUE") -> dict[str, object]:
    return phase("raw", processor("box", date_column="game_date", expect={"quality": {"where": where}}))


def passing(house: LakeHouse, where: str, **warehouse: str) -> Evidence:
    opened = house.open(box(where), history=None, warehouse=warehouse)
    return opened.evidence({"box": [DAY]}, purpose="gate")["box", DAY]


def expected(house: LakeHouse, query: str, **warehouse: str) -> list[int]:
    """The days of March 2024 that a calendar query names."""
    keys: dict[str, Any] = {"calendar": {"query": query}, "warehouse": warehouse}
    counts = house.open(box(), history=None, **keys).counts(dt.date(2024, 3, 1), dt.date(2024, 3, 31))
    return sorted(date.day for date in counts)


@pytest.fixture
def days(lake_house: LakeHouse) -> LakeHouse:
    """The first ten days of March 2024; the first is a Friday."""
    dates = [{"game_date": dt.date(2024, 3, day), "d": dt.date(2024, 3, day)} for day in range(1, 11)]
    lake_house.put("nba.days", dates)
    return lake_house


def test_the_lakes_own_sql_is_not_translated(lake_house: LakeHouse) -> None:
    lake_house.put("nba.box", [{"game_date": DAY, "parts": "a/b", "n": n} for n in range(3)])
    assert passing(lake_house, "string_split(parts, '/')[2] = 'b' AND n // 2 = 1").passing_rows == 1
    assert passing(lake_house, "CAST(n AS DOUBLE) / 0 > 5").passing_rows == 3


def test_a_calendar_in_duckdbs_sql_has_its_own_days_of_the_week_and_named_dates(days: LakeHouse) -> None:
    # Given DuckDB's Sunday, which is 0, and a text that looks like a parameter
    query = (
        "SELECT d AS date, COUNT(*) AS n FROM nba.days"
        " WHERE d BETWEEN @start AND @end AND dayofweek(d) NOT IN (0, 6) AND 'a@start' <> '' GROUP BY 1"
    )
    assert expected(days, query) == [1, 4, 5, 6, 7, 8]


def test_a_calendar_in_bigquerys_sql_has_bigquerys_days_of_the_week(days: LakeHouse) -> None:
    query = (
        "SELECT d AS date, COUNT(*) AS n FROM nba.days"
        " WHERE d BETWEEN @start AND @end AND EXTRACT(DAYOFWEEK FROM d) NOT IN (1, 7) GROUP BY 1"
    )
    assert expected(days, query, **BIGQUERY) == [1, 4, 5, 6, 7, 8]


def test_a_calendar_may_join_tables_and_use_common_table_expressions(days: LakeHouse) -> None:
    days.put("nba.closed", [{"game_date": dt.date(2024, 3, 4)}])
    query = (
        "WITH open AS (SELECT days.d FROM nba.days AS days LEFT JOIN nba.closed AS c ON c.game_date = days.d"
        " WHERE c.game_date IS NULL) SELECT d AS date, COUNT(*) AS n FROM open"
        " WHERE d BETWEEN @start AND @end GROUP BY d HAVING COUNT(*) > 0 ORDER BY 1"
    )
    own = expected(days, query)
    assert own == [1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert expected(days, query, **BIGQUERY) == own


def test_an_array_of_a_row_and_a_qualified_column_are_read_in_bigquerys_sql(lake_house: LakeHouse) -> None:
    select = "SELECT day AS game_date, [1, 0] AS arr, 1 AS id FROM {dates}"
    lake_house.fill("nba.box", select)
    where = "EXISTS(SELECT 1 FROM UNNEST(arr) AS e WHERE e > 0) AND box.id >= 0"
    assert passing(lake_house, where, **BIGQUERY).passing_rows == 1
    # And preflight asks the same
    opened = lake_house.open(box(where), history=None, warehouse=BIGQUERY)
    assert opened.rule_problem("box", DAY) == ""


def test_a_predicate_may_ask_another_table(lake_house: LakeHouse) -> None:
    lake_house.put("nba.box", [{"game_date": DAY, "game_id": f"g{number}"} for number in range(3)])
    lake_house.put("nba.known", [{"game_date": DAY, "game_id": "g0"}, {"game_date": DAY, "game_id": "g2"}])
    assert passing(lake_house, "game_id IN (SELECT k.game_id FROM nba.known AS k)").passing_rows == 2


def test_a_table_without_files_in_a_predicate_is_an_error_that_names_it(lake_house: LakeHouse) -> None:
    lake_house.put("nba.box", [{"game_date": DAY, "id": 1}])
    found = passing(lake_house, "id IN (SELECT id FROM nba.nowhere)")
    assert found.error == "nba.box: nba.nowhere has no files in the lake"


def test_an_unknown_parameter_is_refused_by_name(days: LakeHouse) -> None:
    with pytest.raises(WarehouseError, match=r"calendar\.query"):
        expected(days, "SELECT d AS date, COUNT(*) AS n FROM nba.days WHERE d >= $since GROUP BY 1")


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("SAFE_CAST(num AS BOOL)", "SAFE_CAST(num AS BOOL)"),
        ("pct >= 95 AND a / b > 1", "a / b"),
    ],
)
def test_what_is_not_carried_exactly_is_refused_with_key_and_remedy(
    lake_house: LakeHouse, where: str, named: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        lake_house.pipeline(box(where), warehouse=BIGQUERY)
    message = str(caught.value)
    assert "phase[raw].processor[box].expect.quality.where: " in message
    assert named in message
    assert message.endswith("write it in DuckDB's SQL and remove warehouse.dialect")


def test_a_calendar_that_is_not_carried_exactly_is_refused(lake_house: LakeHouse) -> None:
    query = "SELECT PARSE_DATE('%Y%m%d', d) AS date, COUNT(*) AS n FROM nba.days GROUP BY 1"
    with pytest.raises(PipelineError, match=r"calendar\.query: PARSE_DATE"):
        lake_house.pipeline(box(), warehouse=BIGQUERY, calendar={"query": query})


def test_days_are_added_to_the_date_column_and_to_the_parameter_as_bigquery_does(days: LakeHouse) -> None:
    dates = [dt.date(2024, 3, day) for day in (4, 5)]
    expect = {
        "quality": {"where": "date + 1 = DATE '2024-03-05'"},
        "no_rows": "SELECT 1 FROM nba.days WHERE d = @date - 1 AND game_date + 1 > d AND d > '2024-03-03'",
    }
    for date in dates:
        days.put("nba.box", [{"date": date, "n": 1}], by="date")
    phases = phase(
        "raw",
        processor("box", date_column="date", expect=expect),
        processor("days", table="nba.days", date_column="game_date"),
    )
    found = days.open(phases, history=None, warehouse=BIGQUERY).evidence({"box": dates}, purpose="gate")
    assert [found["box", date].error for date in dates] == ["", ""]
    assert [found["box", date].passing_rows for date in dates] == [1, 0]
    assert [(o := found["box", date].offending) and o.rows for date in dates] == [0, 1]


@pytest.mark.parametrize("where", ["d + 1 = DATE '2024-03-05'", "1 + d = DATE '2024-03-05'", "d - n = d"])
def test_days_added_to_another_column_are_refused_with_the_remedy(lake_house: LakeHouse, where: str) -> None:
    lake_house.put("nba.box", [{"game_date": DAY, "d": DAY, "n": 1}])
    error = passing(lake_house, where, **BIGQUERY).error
    assert "(DATE, BIGINT); write DATE_ADD or DATE_SUB in BigQuery's SQL" in error.replace(
        "BIGINT, DATE", "DATE, BIGINT"
    )
