"""A column that one date's file has in a wrong type, and another date's file not at all."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pytest

from backfilld.state.rules.evidence import Evidence
from tests.factories import phase, processor
from tests.integration.warehouses import LakeHouse
from tests.scratch_duckdb import scratch

DATES = [dt.date(2024, 3, day) for day in range(1, 6)]


def write(house: LakeHouse, date: dt.date, select: str) -> Path:
    """The file of a date of `shop.orders`, with two rows."""
    path = house.root / "shop" / "orders" / f"date={date}" / "part-0.parquet"
    path.parent.mkdir(parents=True)
    with scratch() as connection:
        connection.execute(f"COPY (SELECT {select} FROM range(2) AS r (n)) TO '{path}' (FORMAT parquet)")
    return path


def evidence(house: LakeHouse, expect: object, *dates: dt.date) -> list[Evidence]:
    raw = phase("raw", processor("orders", table="shop.orders", date_column="date", expect=expect))
    answers = house.open(raw, history=None).evidence({"orders": dates}, purpose="gate")
    return [answers["orders", date] for date in dates]


@pytest.mark.parametrize(
    ("where", "good", "bad"),
    [
        ("amount >= 0", "n + 1.5", "'n/a'"),
        ("amount >= 0", "n + 1.5", "[n]"),
        ("year(amount) = 2024", "DATE '2024-02-01'", "'n/a'"),
        ("amount.v >= 0", "{'v': n + 1.5}", "{'v': 'n/a'}"),
        ("amount[1] >= 0", "[n + 1.5]", "n"),
        ("coalesce(amount, '') <> ''", "'x' || n", "n + 1.5"),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=str)
def test_a_mistyped_column_spoils_no_date_whose_files_do_not_have_it(
    lake_house: LakeHouse, order: Sequence[int], where: str, good: str, bad: str
) -> None:
    typed, mistyped, without = (DATES[number] for number in order)
    write(lake_house, typed, f"n AS id, {good} AS amount")
    file = write(lake_house, mistyped, f"n AS id, {bad} AS amount")
    write(lake_house, without, "n AS id, n + 1.5 AS amnt")
    expect = {"quality": {"where": where}}
    (alone,) = evidence(lake_house, expect, without)
    assert (alone.error, alone.rows, alone.passing_rows) == ("", 2, 0)
    (of_mistyped,) = evidence(lake_house, expect, mistyped)
    assert f"({file}); correct" in of_mistyped.error
    assert evidence(lake_house, expect, typed, without) == [*evidence(lake_house, expect, typed), alone]


@pytest.mark.parametrize("first", range(0, 5, 2))
@pytest.mark.parametrize("rule", ["quality", "change"])
def test_beside_several_wrong_types_each_date_is_judged_by_its_own_file(
    lake_house: LakeHouse, first: int, rule: str
) -> None:
    days = DATES[first:] + DATES[:first]
    amounts = (
        "'n/a' AS amount",
        "DATE '2024-01-01' AS amount",
        "[n] AS amount",
        "n + 1.5 AS amount",
        "n AS x",
    )
    for date, amount in zip(days, amounts, strict=True):
        write(lake_house, date, f"n AS id, {amount}")
    rules = {"quality": {"where": "amount >= 0"}, "change": [{"of": "SUM(amount)", "min": 0.5}]}
    for together in (days, DATES):
        found = dict(zip(together, evidence(lake_house, {rule: rules[rule]}, *together), strict=True))
        for date in days[:3]:
            assert f"date={date}/part-0.parquet); correct" in found[date].error
        for date in days[3:]:
            assert found[date].error == ""


def test_of_two_missing_columns_each_is_null_whichever_of_them_another_date_mistypes(
    lake_house: LakeHouse,
) -> None:
    write(lake_house, DATES[0], "DATE '2024-02-01' AS opened, 'n/a' AS amount")
    write(lake_house, DATES[1], "'n/a' AS opened, n AS amount")
    write(lake_house, DATES[2], "n AS id")
    (found,) = evidence(lake_house, {"quality": {"where": "opened > '2024-01-01' AND amount >= 0"}}, DATES[2])
    assert (found.error, found.rows, found.passing_rows) == ("", 2, 0)
