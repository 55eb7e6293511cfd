"""How far rewritten outputs reach: each date that becomes stale, against one walk over all dates."""

import datetime as dt
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.needs_graph import Span
from backfilld.state.rules.stale_reach import StaleReach, stale_reach
from tests.factories import phase, pipeline, processor

FIRST = dt.date(2022, 3, 1)
DAYS = [FIRST + dt.timedelta(days=n) for n in range(40)]
LAST = DAYS[-1]


def platform(lookback: int = 0, **balance: object) -> Pipeline:
    return pipeline(
        phase("raw", processor("events"), processor("sales")),
        phase(
            "derived",
            processor("sessions", needs=[{"of": "events", "days_back": 2}]),
            processor("balance", **balance),
        ),
        phase("report", processor("monthly"), lookback=lookback),
        calendar={},
    )


def days_of(reach: StaleReach) -> set[dt.date]:
    return in_spans(reach.other_dates)


def in_spans(spans: Sequence[Span]) -> set[dt.date]:
    return {day for day in DAYS for span in spans if day in span}


def test_what_runs_itself_is_stale_on_later_dates_alone():
    graph = platform(lookback=3).needs
    everything = stale_reach(graph, platform().processors, [DAYS[10]], LAST)
    assert days_of(everything["monthly"]) == set(
        DAYS[11:16]
    )  # three days after the sessions of two days after
    assert days_of(everything["sessions"]) == set(DAYS[11:13])
    assert "events" not in everything
    assert everything["sessions"].rewritten_dates == []


def test_what_is_not_selected_is_stale_on_the_same_date_too():
    reach = stale_reach(platform().needs, ["events"], DAYS[10:12], LAST)
    assert in_spans(reach["monthly"].rewritten_dates) == set(DAYS[10:12])
    assert in_spans(reach["sessions"].rewritten_dates) == set(DAYS[10:12])
    assert days_of(reach["monthly"]) == set(DAYS[12:14])


def test_what_runs_and_is_computed_from_a_stale_output_is_stale():
    reach = stale_reach(platform().needs, ["events", "monthly"], [DAYS[10]], LAST)
    assert in_spans(reach["monthly"].rewritten_dates) == {DAYS[10]}


def test_a_running_balance_is_stale_to_the_last_date():
    reach = stale_reach(platform(depends_on_past=True).needs.starting(FIRST), ["balance"], [DAYS[10]], LAST)
    assert days_of(reach["balance"]) == set(DAYS[11:])


@pytest.mark.parametrize("lookback", [0, 1, 5])
@given(
    rewritten=st.sets(st.sampled_from(["events", "sales", "sessions", "balance", "monthly"]), min_size=1),
    dates=st.sets(st.sampled_from(DAYS), min_size=1),
)
def test_it_is_what_a_walk_from_date_to_date_reaches(lookback, rewritten, dates):
    graph = platform(lookback, needs=[{"of": "sales"}, {"self": True, "days_back": 3}]).needs
    stale: set[tuple[str, dt.date]] = set()
    todo = [(name, date, True) for name in rewritten for date in dates]
    while todo:
        name, date, runs = todo.pop()
        for other, span in graph.needed_by(name, date):
            for day in (day for day in DAYS if day in span):
                if (other, day) not in stale and not (runs and other in rewritten and day in dates):
                    stale.add((other, day))
                    todo.append((other, day, False))
    reach = stale_reach(graph, rewritten, dates, LAST)
    assert {(name, day) for name in reach for day in days_of(reach[name])} == {
        (name, day) for name, day in stale if day not in dates
    }
    assert {(name, day) for name in reach for day in in_spans(reach[name].rewritten_dates)} == {
        (name, day) for name, day in stale if day in dates
    }
