"""Windows: when nothing starts, when they open, nights on which the clock is set, and refused mistakes."""

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.closed_hours import ClosedHours, delay, open_seconds
from tests.factories import phase, pipeline, processor

BERLIN = "Europe/Berlin"
SPRING, AUTUMN = dt.date(2024, 3, 31), dt.date(2024, 10, 27)
"""The nights on which Berlin's clock goes from 02:00 to 03:00, and from 03:00 back to 02:00."""
MINUTE = 60.0
HOUR = 60 * MINUTE


def at(text: str, zone: str = BERLIN, *, fold: int = 0) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def hours(closes: str, opens: str, zone: str = BERLIN, **keys: Any) -> ClosedHours:
    times = {"closes": dt.time.fromisoformat(closes), "opens": dt.time.fromisoformat(opens)}
    return ClosedHours(name="night", zone=ZoneInfo(zone), **times, **keys)


def opening(window: ClosedHours, now: float, seconds: float = 0.0) -> float | None:
    """When a job may start: now where nothing delays it."""
    wait = delay([window], now, seconds)
    return wait.until if wait else now


# When it opens


@pytest.mark.parametrize(
    ("closes", "opens", "now", "expected"),
    [
        ("08:00", "18:00", "2024-05-07T07:59", "2024-05-07T07:59"),
        ("08:00", "18:00", "2024-05-07T08:00", "2024-05-07T18:00"),
        ("08:00", "18:00", "2024-05-07T18:00", "2024-05-07T18:00"),
        ("22:00", "06:00", "2024-05-07T23:30", "2024-05-08T06:00"),  # over midnight
        ("22:00", "06:00", "2024-05-07T00:10", "2024-05-07T06:00"),
        ("22:00", "00:00", "2024-05-07T23:00", "2024-05-08T00:00"),
        ("22:00", "06:00", f"{SPRING}T00:30", f"{SPRING}T06:00"),  # an hour less
        ("22:00", "02:30", f"{SPRING}T00:30", f"{SPRING}T03:00"),  # 02:30 is left out
        ("02:15", "02:45", f"{SPRING}T03:00", f"{SPRING}T03:00"),  # as a whole
        ("02:30", "06:00", f"{SPRING}T03:00", f"{SPRING}T06:00"),
        ("02:30", "06:00", f"{SPRING}T01:59", f"{SPRING}T01:59"),
        ("22:00", "06:00", f"{AUTUMN}T00:30", f"{AUTUMN}T06:00"),  # an hour more
    ],
)
def test_a_job_may_start_when_the_window_opens(closes: str, opens: str, now: str, expected: str) -> None:
    assert opening(hours(closes, opens), at(now)) == at(expected)


def test_an_hour_that_comes_twice_is_closed_until_its_second_end() -> None:
    assert opening(hours("22:00", "02:30"), at(f"{AUTUMN}T02:35")) == at(f"{AUTUMN}T02:30", fold=1)
    assert opening(hours("02:30", "06:00"), at(f"{AUTUMN}T02:15", fold=1)) == at(f"{AUTUMN}T06:00")


def test_a_window_closes_on_its_weekdays_and_reaches_into_the_day_after() -> None:
    friday_night = hours("22:00", "06:00", weekdays=frozenset({"fri"}))
    assert opening(friday_night, at("2024-05-11T05:00")) == at("2024-05-11T06:00")  # a Saturday
    assert delay([friday_night], at("2024-05-10T05:00"), 0.0) is None
    assert delay([friday_night], at("2024-05-11T23:00"), 0.0) is None


def test_a_whole_day_is_closed_from_midnight_to_midnight() -> None:
    weekend = hours("00:00", "00:00", weekdays=frozenset({"sat", "sun"}))
    assert opening(weekend, at("2024-05-11T12:00")) == at("2024-05-13T00:00")


def test_a_job_whose_duration_reaches_into_a_closing_waits_until_after_it() -> None:
    office = hours("08:00", "18:00")
    assert delay([office], at("2024-05-07T07:00"), HOUR) is None
    assert opening(office, at("2024-05-07T07:01"), HOUR) == at("2024-05-07T18:00")


def test_a_job_that_takes_longer_than_the_windows_are_open_never_starts() -> None:
    assert opening(hours("08:00", "06:00"), at("2024-05-07T07:00"), 3 * HOUR) is None


def test_a_job_starts_where_no_window_is_closed() -> None:
    windows = [hours("22:00", "06:00"), hours("05:00", "09:00")]
    wait = delay(windows, at("2024-05-07T23:00"), 0.0)
    assert wait is not None
    assert (wait.closure.window, wait.until) == ("night", at("2024-05-08T09:00"))


def test_the_open_time_ends_at_the_first_closing() -> None:
    office = hours("08:00", "18:00")
    assert open_seconds([office], at("2024-05-07T07:30"), HOUR) == 30 * MINUTE
    assert open_seconds([office], at("2024-05-07T12:00"), HOUR) == 0.0
    assert open_seconds([office], at("2024-05-07T18:00"), HOUR) == HOUR


ZONES = (BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC", "Pacific/Apia")
TIMES = st.builds(dt.time, st.integers(0, 23), st.sampled_from((0, 15, 30)))


def is_closed(window: ClosedHours, now: float) -> bool:
    """By the clock on the wall, minute by minute: closed from `closes` on, until it is `opens` for good."""
    today = dt.datetime.fromtimestamp(now, window.zone).date()
    for day in (today - dt.timedelta(days=1), today):
        last = day if window.opens > window.closes else day + dt.timedelta(days=1)
        begin, end = dt.datetime.combine(day, window.closes), dt.datetime.combine(last, window.opens)
        around = [now + n * 15 * MINUTE for n in range(-8, 9)]  # no clock is set by more than 2 hours
        walls = [dt.datetime.fromtimestamp(one, window.zone).replace(tzinfo=None) for one in around]
        has_closed = any(wall >= begin for wall in walls[:9])
        opens_later = any(wall < end for wall in walls[8:])
        if has_closed and opens_later:
            return True
    return False


@given(st.sampled_from(ZONES), TIMES, TIMES, st.integers(0, 366 * 96 - 1))
@example(BERLIN, dt.time(2, 30), dt.time(2, 15), 90 * 96 + 4)
@example(BERLIN, dt.time(22), dt.time(2, 30), 90 * 96 + 4)
@example(BERLIN, dt.time(2, 15), dt.time(2, 45), 300 * 96 + 3)
def test_a_window_is_closed_when_the_clock_on_the_wall_says_so(
    zone: str, closes: dt.time, opens: dt.time, quarter: int
) -> None:
    now = at("2024-01-01T00:00", "UTC") + quarter * 15 * MINUTE
    window = ClosedHours(name="night", closes=closes, opens=opens, zone=ZoneInfo(zone))
    wait = delay([window], now, 0.0)
    assert (wait is not None) == is_closed(window, now)
    if wait is not None and wait.until is not None:
        assert not is_closed(window, wait.until)
        assert is_closed(window, wait.until - 15 * MINUTE)


@given(TIMES, TIMES, TIMES, TIMES, st.integers(0, 366 * 96), st.integers(0, 40))
def test_a_job_that_starts_when_it_may_meets_no_closing(
    closes: dt.time, opens: dt.time, other: dt.time, again: dt.time, quarter: int, quarters: int
) -> None:
    windows = [
        ClosedHours(name="a", closes=closes, opens=opens, zone=ZoneInfo(BERLIN)),
        ClosedHours(name="b", closes=other, opens=again, zone=ZoneInfo("America/New_York")),
    ]
    now, seconds = at("2024-01-01T00:00", "UTC") + quarter * 15 * MINUTE, quarters * 15 * MINUTE
    wait = delay(windows, now, seconds)
    start = wait.until if wait else now
    if start is not None:
        steps = range(max(quarters, 1))
        assert not any(delay(windows, start + n * 15 * MINUTE, 0.0) for n in steps)


# The pipeline file


def refusal(**window: Any) -> list[str]:
    with pytest.raises(PipelineError) as raised:
        pipeline(
            phase("raw", processor("box", estimate="2h", pool="api")),
            pool=[{"name": "api", "size": 1}],
            window=[{"name": "night", "closes": "22:00", "opens": "06:00", **window}],
        )
    return raised.value.problems


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (
            {"closes": "25:00"},
            "window[night].closes: '25:00' is not a time of day;"
            ' write it like "08:00" or "22:30", in quotes',
        ),
        (
            {"opens": 6},
            'window[night].opens: 6 is not a time of day; write it like "08:00" or "22:30", in quotes',
        ),
        (
            {"timezone": "Berlin"},
            "window[night].timezone: unknown time zone 'Berlin'; use a name such as America/New_York",
        ),
        ({"processors": ["bx"]}, "window[night].processors: there is no processor 'bx'; did you mean 'box'?"),
        ({"pools": ["apy"]}, "window[night].pools: there is no pool 'apy'; did you mean 'api'?"),
        (
            {"closes": "08:00", "opens": "08:00"},
            "window[night]: 'box' could never start: its estimate is longer than they are ever open;"
            " close for fewer hours",
        ),
        (
            {"closes": "08:00", "opens": "07:00", "pools": ["api"]},
            "window[night]: 'box' could never start: its estimate is longer than they are ever open;"
            " close for fewer hours",
        ),
    ],
)
def test_a_window_that_cannot_be_used_is_refused(keys: dict[str, Any], problem: str) -> None:
    assert refusal(**keys) == [problem]


def test_a_window_is_for_the_processors_that_it_names_or_whose_pool_it_names_else_for_all() -> None:
    def concerned(**keys: Any) -> list[str]:
        window = {"name": "night", "closes": "22:00", "opens": "06:00", **keys}
        named = [processor("box"), processor("odds", pool="api"), processor("team")]
        made = pipeline(phase("raw", *named), pool=[{"name": "api", "size": 1}], window=[window])
        return list(made.windows_of)

    assert concerned(processors=["box"]) == ["box"]
    assert concerned(pools=["api"]) == ["odds"]
    assert concerned(processors=["team"], pools=["api"]) == ["odds", "team"]
    assert concerned() == ["box", "odds", "team"]


def test_the_hours_are_those_of_the_pipelines_time_zone_unless_the_window_has_its_own() -> None:
    window = {"name": "night", "closes": "22:00", "opens": "06:00"}
    for keys, zone in (({}, "America/New_York"), ({"timezone": BERLIN}, BERLIN)):
        made = pipeline(
            phase("raw", processor("box")), timezone="America/New_York", window=[{**window, **keys}]
        )
        assert [hours.zone.key for hours in made.windows_of["box"]] == [zone]
