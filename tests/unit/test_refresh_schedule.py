"""Late data: when an output is final, when it is due for a refresh, and which keys are refused."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.refresh_schedule import CATCH_UP, date_end, missed_refresh, refresh_dates
from tests.factories import phase, pipeline, processor

NEW_YORK = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")
DATE = dt.date(2024, 3, 9)
"""The day before New York's clock is set forward."""
DAY = 86400.0


def utc(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


def test_ages_count_from_the_midnight_after_a_date_in_the_pipelines_time_zone() -> None:
    assert date_end(DATE, UTC) == utc("2024-03-10T00:00")
    assert date_end(DATE, NEW_YORK) == utc("2024-03-10T05:00")
    assert date_end(DATE + dt.timedelta(days=1), NEW_YORK) == utc("2024-03-11T04:00")


@pytest.mark.parametrize(
    ("computed", "now", "age"),
    [
        ("2024-03-10T02:00", "2024-03-10T23:59", None),
        ("2024-03-10T02:00", "2024-03-11T00:00", DAY),
        ("2024-03-11T00:05", "2024-03-11T23:59", None),
        ("2024-03-10T02:00", "2024-03-13T12:00", 3 * DAY),  # once for all that were missed
        ("2024-03-11T00:05", "2024-03-13T12:00", 3 * DAY),
        ("2024-03-13T00:05", "2024-03-19T12:00", None),
        ("2024-03-10T02:00", "2024-03-19T23:59", 3 * DAY),
        ("2024-03-10T02:00", "2024-03-20T00:00", None),  # too late
        ("2024-06-01T00:00", "2024-06-02T00:00", None),  # an old date that was computed lately
    ],
)
def test_an_output_is_due_for_the_latest_age_it_reached_since_it_was_computed(
    computed: str, now: str, age: float | None
) -> None:
    ages = [DAY, 2 * DAY, 3 * DAY]
    assert missed_refresh(DATE, ages, UTC, computed_at=utc(computed), now=utc(now)) == age


MOMENTS = st.floats(utc("2024-01-01T00:00"), utc("2024-12-31T00:00"))
AGES = st.lists(st.floats(0, 9 * DAY), max_size=3)
ZONES = st.sampled_from((UTC, NEW_YORK, ZoneInfo("Pacific/Kiritimati")))


@given(AGES, ZONES, MOMENTS, st.integers(-30, 5))
def test_a_date_that_is_due_is_one_of_those_that_are_looked_at(
    ages: list[float], zone: ZoneInfo, now: float, days: int
) -> None:
    date = dt.datetime.fromtimestamp(now, dt.UTC).date() + dt.timedelta(days=days)
    due = missed_refresh(date, ages, zone, computed_at=0.0, now=now)
    if due is not None:
        assert date in set(refresh_dates(ages, now))


@given(AGES, ZONES, MOMENTS, st.floats(0, 20 * DAY))
def test_what_was_computed_now_is_not_due_before_another_age_is_reached(
    ages: list[float], zone: ZoneInfo, computed: float, passed: float
) -> None:
    assert missed_refresh(DATE, ages, zone, computed_at=computed, now=computed) is None
    due = missed_refresh(DATE, ages, zone, computed_at=computed, now=computed + passed)
    assert due is None or computed < date_end(DATE, zone) + due <= computed + passed
    assert due is None or computed + passed < date_end(DATE, zone) + due + CATCH_UP


def test_without_final_after_an_output_is_final_at_once() -> None:
    late = processor("events", final_after="3d")
    made = pipeline(phase("raw", late, processor("shops")), timezone="America/New_York")
    assert made.provisional_until("events", DATE) == utc("2024-03-13T05:00")
    assert made.provisional_until("shops", DATE) is None
    assert made.provisional_until("gone", DATE) is None


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"refresh": ["1d"]}, "refresh is for provisional outputs; add final_after"),
        (
            {"refresh": ["1d", "4d"], "final_after": "3d"},
            "refresh has an age above final_after; remove it, or raise final_after",
        ),
    ],
)
def test_a_refresh_without_an_end_is_refused(keys: dict[str, object], problem: str) -> None:
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("events", **keys)))
    assert raised.value.problems == [f"phase[raw].processor[events]: {problem}"]


def test_an_age_that_is_no_duration_is_refused() -> None:
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("events", final_after="3d", refresh=["tomorrow"])))
    assert "phase[raw].processor[events].refresh[0]: 'tomorrow' is not a duration" in str(raised.value)
