"""Pace and ETA over time: how many dates ended when, and what was estimated then."""

import pytest

from backfilld.api.page import pace_chart
from backfilld.api.page.pace_chart import HEIGHT

HOUR, WEEK = 3600.0, 7 * 86400.0


def test_a_steady_backfill_has_one_chart_whose_time_left_falls_to_nothing():
    # Given a date every minute for two hours
    (chart,) = pace_chart.draw([60.0 * n for n in range(120)], left=0)
    assert (chart.unit, chart.most) == ("5 min", 5)
    assert [bucket.left for bucket in chart.buckets[-3:]] == [10, 5, 0]
    # Then the rate is that of the latest hour, and every estimate was right
    assert {round(bucket.rate_per_hour or 60) for bucket in chart.buckets} == {60}
    known = [bucket.eta for bucket in chart.buckets if bucket.eta is not None]
    assert known == pytest.approx([119 * 60.0] * len(known))
    assert chart.buckets[-1].eta is None
    assert chart.longest == pytest.approx(115 * 60)
    assert chart.line.startswith("M33 0L")


def test_a_slow_down_shows_in_the_estimate():
    fast, slow = [60.0 * n for n in range(60)], [HOUR + 600.0 * n for n in range(12)]
    (chart,) = pace_chart.draw([*fast, *slow], left=60, jobs=[(0.0, slow[-1])])
    estimates = [bucket.eta for bucket in chart.buckets if bucket.eta is not None]
    assert estimates[-1] > estimates[0] + 4 * HOUR


def test_dates_that_are_retried_a_week_later_have_a_chart_of_their_own():
    first = [60.0 * n for n in range(30)]
    charts = pace_chart.draw([*first, WEEK, WEEK + 60], left=1)
    assert [sum(bucket.ended for bucket in chart.buckets) for chart in charts] == [30, 2]
    assert charts[1].axis.seconds == pace_chart.FEWEST_ON_AXIS * charts[1].width
    assert charts[0].buckets[0].left == 32


def test_dates_that_end_hours_apart_stay_in_one_chart():
    (chart,) = pace_chart.draw([3 * HOUR * n for n in range(10)], left=4)
    assert (chart.unit, chart.most, len(chart.buckets)) == ("3 h", 1, 10)
    # Then nothing is estimated: fewer than two dates ended within an hour
    assert (chart.longest, chart.line) == (None, "")


def test_hours_without_jobs_change_no_estimate():
    # Given a date every minute, and five idle hours in the middle
    ends = [60.0 * n for n in range(60)] + [5 * HOUR + 60.0 * n for n in range(60)]
    buckets = [bucket for chart in pace_chart.draw(ends, left=60) for bucket in chart.buckets]
    rates = [bucket.rate_per_hour for bucket in buckets if bucket.rate_per_hour is not None]
    assert rates == pytest.approx([60.0] * len(rates), rel=0.1)


def test_a_bar_is_as_high_as_its_share_of_the_highest_one():
    (chart,) = pace_chart.draw([0.0, 1.0, 2.0, 3.0, 30.0, 31.0], left=0)
    assert chart.unit == "10 s"
    assert chart.bars == f"M0 {HEIGHT}h81v-60h-81zM250 {HEIGHT}h81v-30h-81z"


def test_years_of_dates_are_few_buckets():
    charts = pace_chart.draw([86400.0 * n for n in range(1000)], left=0)
    assert sum(len(chart.buckets) for chart in charts) <= pace_chart.MOST_BUCKETS


def test_before_the_first_date_has_ended_there_is_nothing_to_draw():
    assert pace_chart.draw([], left=5) == []


def test_a_single_estimate_draws_no_line():
    (chart,) = pace_chart.draw([0.0, 60.0], left=5)
    assert len([bucket for bucket in chart.buckets if bucket.eta is not None]) == 1
    assert chart.longest is None
