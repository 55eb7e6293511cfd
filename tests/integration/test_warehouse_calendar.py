"""Counts per date, asked of both warehouses and read from a file."""

import datetime as dt
from pathlib import Path

import pytest

from backfilld.daemon.warehouses.adapter import DescribedWarehouse, WarehouseError
from backfilld.state.rules.season_calendar import days_key
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House, LakeHouse

BOX = phase("raw", processor("box", date_column="game_date"))
QUERY = """
SELECT game_date AS date, COUNT(DISTINCT s.game_id) AS games
FROM nba.nbac_schedule AS s
WHERE game_date BETWEEN @start AND @end AND game_status = 3
GROUP BY 1;
"""


def after(days: int) -> dt.date:
    """So many days after DAY."""
    return DAY + dt.timedelta(days=days)


def schedule(house: House) -> None:
    """Three rows a game, as its status changed; two games, then one, then one that is not played yet."""
    games = [(0, "a", 3), (0, "b", 3), (1, "c", 3), (2, "d", 1)]
    rows = [
        {"game_date": after(days), "game_id": game, "game_status": status}
        for days, game, last in games
        for status in range(1, last + 1)
    ]
    house.put("nba.nbac_schedule", rows)


def test_the_query_says_how_many_games_a_date_has(house: House) -> None:
    schedule(house)
    warehouse = house.open(BOX, calendar={"query": QUERY})
    assert warehouse.counts(DAY, after(5)) == {DAY: {"games": 2}, after(1): {"games": 1}}
    assert warehouse.counts(after(1), after(1)) == {after(1): {"games": 1}}
    assert warehouse.counts(after(50), after(60)) == {}
    assert house.queries == [("calendar", 0)] * 3


NONSENSE = {
    "SELECT game_date AS day, 1 AS games FROM nba.nbac_schedule WHERE game_date BETWEEN @start AND @end": (
        "must give the column date and at least one count; it gives day, games"
    ),
    "SELECT game_date AS date, -1 AS games FROM nba.nbac_schedule WHERE game_date = @start LIMIT 1": (
        "games must be a whole number, 0 or more; 2021-10-26 has -1"
    ),
    "SELECT game_id AS date, 1 AS games FROM nba.nbac_schedule WHERE game_date = @start LIMIT 1": (
        "date must be a DATE; '.' is none"
    ),
    "SELECT game_date AS date, 1 AS games FROM nba.nbac_schedule WHERE game_date = @start": (
        "gives 2021-10-26 twice; add GROUP BY"
    ),
    "SELECT game_date AS date, 1 AS games FROM nba.nowhere WHERE game_date = @start": "nowhere",
    "SELECT game_date AS date, 1 AS games FROM nba.nbac_schedule WHERE played = 1": "played",
    "SELECT game_date AS date, 1 AS games FROM nba.nbac_schedule WHERE game_date = @begin": "begin",
    "SELECT game_date AS date, COUNT(*) AS AS games FROM nba.nbac_schedule": "",
}


@pytest.mark.parametrize("query", NONSENSE)
def test_a_calendar_that_makes_no_sense_is_no_answer(house: House, query: str) -> None:
    schedule(house)
    with pytest.raises(WarehouseError, match=rf"calendar\.query.*{NONSENSE[query]}"):
        house.open(BOX, calendar={"query": query}).counts(DAY, DAY)


def test_two_counts_of_one_name_are_refused(lake_house: LakeHouse) -> None:
    query = "SELECT DATE '2021-10-26' AS date, 1 AS games, 2 AS games"
    refused = r"calendar\.query was refused: it gives the column games twice; name each column once"
    with pytest.raises(WarehouseError, match=refused):
        lake_house.open(BOX, calendar={"query": query}).counts(DAY, DAY)


def named_days(house: House, query: str) -> DescribedWarehouse:
    days = [{"name": "played", "query": query}]
    report = processor("report", days="played")
    return house.open(BOX, phase("reports", report), calendar={"days": days})


def test_a_query_names_days_whether_or_not_the_calendar_counts(house: House) -> None:
    schedule(house)
    query = "SELECT game_date AS date FROM nba.nbac_schedule WHERE game_date BETWEEN @start AND @end;"
    played = days_key("played")
    assert named_days(house, query).counts(after(1), after(9)) == {
        after(1): {played: 1},
        after(2): {played: 1},
    }
    both = {"query": QUERY, "days": [{"name": "played", "query": query}]}
    assert house.open(BOX, calendar=both).counts(DAY, after(9)) == {
        DAY: {"games": 2, played: 1},
        after(1): {"games": 1, played: 1},
        after(2): {played: 1},
    }
    assert house.queries == [("calendar", 0)] * 3


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT game_date AS day FROM nba.nbac_schedule", "must give the column date; it gives day"),
        ("SELECT game_id AS date FROM nba.nbac_schedule", "date must be a DATE; '.' is none"),
        ("SELECT game_date AS date FROM nba.nowhere", "nowhere"),
    ],
)
def test_days_of_a_query_that_makes_no_sense_are_no_answer(house: House, query: str, problem: str) -> None:
    schedule(house)
    with pytest.raises(WarehouseError, match=rf"calendar\.days\[played\]\.query.*{problem}"):
        named_days(house, query).counts(DAY, DAY)


def filed(house: LakeHouse, text: str) -> Path:
    """A calendar file beside the pipeline file."""
    path = house.root.parent / "calendar.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_says_how_many_games_a_date_has(lake_house: LakeHouse) -> None:
    # Given a file as spreadsheets write it
    filed(lake_house, "\ufeffdate,games\r\n2021-10-26,5\r\n\r\n2021-10-27, 10\r\n2021-10-29,0\r\n")
    warehouse = lake_house.open(BOX, calendar={"file": "calendar.csv"})

    # Then nothing is asked of the warehouse
    assert warehouse.counts(DAY, after(2)) == {DAY: {"games": 5}, after(1): {"games": 10}}
    assert warehouse.counts(after(3), after(9)) == {after(3): {"games": 0}}
    assert lake_house.queries == []


def test_a_calendar_counts_whatever_its_columns_are_named(lake_house: LakeHouse) -> None:
    filed(lake_house, "stores,date,returns\n12,2021-10-26,0\n")
    by_file = lake_house.open(BOX, calendar={"file": "calendar.csv"})
    assert by_file.counts(DAY, DAY) == {DAY: {"stores": 12, "returns": 0}}
    schedule(lake_house)
    query = QUERY.replace("AS games", "AS games, COUNT(*) AS entries")
    by_query = lake_house.open(BOX, calendar={"query": query})
    assert by_query.counts(DAY, DAY) == {DAY: {"games": 2, "entries": 2}}


def test_a_file_that_changed_is_read_again(lake_house: LakeHouse) -> None:
    filed(lake_house, "date,games\n2021-10-26,5\n")
    warehouse = lake_house.open(BOX, calendar={"file": "calendar.csv"})
    assert warehouse.counts(DAY, DAY) == {DAY: {"games": 5}}
    filed(lake_house, "date,games\n2021-10-26,11\n")
    assert warehouse.counts(DAY, DAY) == {DAY: {"games": 11}}


MISTAKES = {
    "": ":1: the header must be date and at least one count; it is missing",
    "day,games\n": ":1: the header must be date and at least one count; it is day,games",
    "date,games\n2021-10-26,5\n26.10.2021,5\n": ":3: '26.10.2021' is not a date; write it like 2021-10-19",
    "date,games\n2021-10-26,-1\n": ":2: games: '-1' is not a whole number, 0 or more",
    "date,games\n2021-10-26,five\n": ":2: games: 'five' is not a whole number, 0 or more",
    "date\n2021-10-26\n": ":1: the header must be date and at least one count; it is date",
    "date,games,games\n": ":1: the header must be date and at least one count; it is date,games,games",
    "date,no of games\n": ":1: the header must be date and at least one count; it is date,no of games",
    "date,games\n2021-10-26\n": ":2: '2021-10-26' is not date,games",
    "date,games\n2021-10-26,5\n\n2021-10-26,5\n": ":4: 2021-10-26 is there twice; keep one line",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_the_file_is_told_with_its_line(lake_house: LakeHouse, text: str) -> None:
    path = filed(lake_house, text)
    with pytest.raises(WarehouseError) as raised:
        lake_house.open(BOX, calendar={"file": "calendar.csv"}).counts(DAY, DAY)
    assert str(raised.value) == f"{path}{MISTAKES[text]}"


def test_a_file_that_is_not_there_is_no_answer(lake_house: LakeHouse) -> None:
    with pytest.raises(WarehouseError, match=r"calendar\.file .*calendar\.csv cannot be read"):
        lake_house.open(BOX, calendar={"file": "calendar.csv"}).counts(DAY, DAY)


def test_a_file_that_csv_cannot_read_is_no_answer(lake_house: LakeHouse) -> None:
    filed(lake_house, f'date,games\n2021-10-26,"{"5" * 200_000}\n')
    with pytest.raises(WarehouseError, match=r"calendar\.file .*calendar\.csv cannot be read: field larger"):
        lake_house.open(BOX, calendar={"file": "calendar.csv"}).counts(DAY, DAY)


def test_without_either_nothing_is_counted(lake_house: LakeHouse) -> None:
    assert lake_house.open(BOX, calendar={}).counts(DAY, after(9)) == {}
    assert lake_house.queries == []
