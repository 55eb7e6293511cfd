"""What the rows of the run history's answer become."""

import datetime as dt
from typing import Any

import pytest

from backfilld.daemon.warehouses.sql import run_history
from backfilld.daemon.warehouses.sql.run_history import Runs
from backfilld.state.pipeline.run_history_settings import HistorySettings
from backfilld.state.rules.evidence import HistoryRun

DAY = dt.date(2021, 10, 26)
SOURCE = HistorySettings(table="nba_reference.processor_run_history")


def read(**row: Any) -> Runs:
    """The runs of one row."""
    ordinary = {"processor": "Box", "date": DAY, "status": "failed", "open": False, "since": 5_000_000}
    rest = {"ended": 9_000_000, "detail": None, "controller": None}
    return run_history.parse_runs([{**ordinary, **rest, **row}], SOURCE)["Box", DAY]


def closed(**row: Any) -> HistoryRun:
    """The closed run of one row."""
    run = read(**row).closed
    assert run is not None
    return run


def test_times_are_seconds() -> None:
    assert closed() == HistoryRun(succeeded=False, started_at=5.0, ended_at=9.0)


@pytest.mark.parametrize(
    ("since", "ended", "times"),
    [(5_000_000, None, (5.0, 5.0)), (None, 9_000_000, (9.0, 9.0)), (None, None, (0.0, 0.0))],
)
def test_a_closed_run_has_ended_even_when_nobody_wrote_when(
    since: int | None, ended: int | None, times: tuple[float, float]
) -> None:
    run = closed(since=since, ended=ended)
    assert (run.started_at, run.ended_at) == times


def test_an_open_run_without_a_start_is_long_ago() -> None:
    assert read(open=True, since=None, status="running").open == HistoryRun(succeeded=False, started_at=0.0)


@pytest.mark.parametrize(
    ("status", "succeeded", "detail"),
    [
        ("success", True, ""),
        ("skipped", True, "skipped"),
        ("failed", False, ""),
        ("partial", False, "partial"),
        ("", False, "no status"),
    ],
)
def test_a_status_that_says_more_than_its_meaning_is_told(status: str, succeeded: bool, detail: str) -> None:
    run = closed(status=status)
    assert (run.succeeded, run.detail) == (succeeded, detail)


@pytest.mark.parametrize(
    ("detail", "told"),
    [
        ('"a text that was cut in the mid', "a text that was cut in the mid"),
        ('"[\\"one\\", \\"two\\"]"', "one; two"),
        ('{"message": {"error": "deep"}}', "deep"),
        ('{"code": 5}', '{"code": 5}'),
        ("[null, 0, {}]", ""),
        ("null", ""),
        ("17", "17"),
        ('"line one\\n  line two"', "line one line two"),
        ("[" * 900 + "]" * 900, "[" * 299 + "…"),
        ("[" * 5000, "[" * 299 + "…"),
        ('"{\\"message\\": \\"half of \\\\ud83d\\"}"', "half of ?"),
        ('"a\\u0000b"', "ab"),
    ],
)
def test_details_are_read_whatever_they_are(detail: str, told: str) -> None:
    assert closed(detail=detail).detail == told


def test_the_latest_of_several_names_counts() -> None:
    # Given
    old = Runs(
        closed=HistoryRun(succeeded=True, started_at=1.0), open=HistoryRun(succeeded=False, started_at=7.0)
    )
    new = Runs(closed=HistoryRun(succeeded=False, started_at=2.0))

    # Then
    assert run_history.latest([old, new, Runs()]) == Runs(closed=new.closed, open=old.open)
    assert run_history.latest([]) == Runs()


@pytest.mark.parametrize(
    ("day", "hours"), [("2024-01-15", 5), ("2024-07-15", 4)], ids=["winter time", "summer time"]
)
def test_local_times_of_the_history_are_those_of_its_zone(day: str, hours: int) -> None:
    # Given a run that began at noon by a clock in New York, which the column does not say
    source = HistorySettings(table="ref.runs", timezone="America/New_York")
    noon = dt.datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()
    row = {"processor": "Box", "date": DAY, "status": "running", "open": True, "since": int(noon * 1e6)}

    # When
    runs = run_history.parse_runs([{**row, "ended": None, "detail": None, "controller": None}], source)

    # Then
    opened = runs["Box", DAY].open
    assert opened is not None
    assert opened.started_at == noon + hours * 3600


def test_a_zone_that_is_not_known_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="unknown time zone 'Mars'; use a name such as America/New_York"):
        HistorySettings(table="ref.runs", timezone="Mars")
