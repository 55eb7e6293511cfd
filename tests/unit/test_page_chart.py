"""Charts: one point per date by verdict, over the band of what is allowed."""

import datetime as dt

from backfilld.api.page.per_date_chart import HEIGHT, WIDTH, draw

START, END = dt.date(2021, 10, 1), dt.date(2021, 10, 10)


def test_each_date_is_a_point_of_its_verdict_at_its_height() -> None:
    chart = draw(START, END, {START: (0.0, "no_data"), END: (100.0, "complete")})
    assert set(chart.points) == {"no_data", "complete"}
    assert chart.points["no_data"].startswith(f"M{WIDTH / 20:.1f} {HEIGHT:.1f}")
    assert chart.points["complete"].startswith(f"M{WIDTH * 19 / 20:.1f} {HEIGHT * (1 - 1 / 1.08):.1f}")
    assert (chart.dates, chart.top) == (2, 100.0)


def test_the_band_covers_what_is_allowed_and_reaches_the_top_where_there_is_no_limit() -> None:
    bounded = draw(START, END, {START: (10.0, "complete")}, {START: (5.0, 20.0)})
    assert bounded.top == 20.0
    assert bounded.band == f"M0.0 {HEIGHT * (1 - 1 / 1.08):.1f}h100.0V{HEIGHT * (1 - 5 / 21.6):.1f}h-100.0z"
    open_ended = draw(START, END, {START: (10.0, "complete")}, {START: (5.0, None)})
    assert open_ended.band.startswith("M0.0 0.0h100.0")


def test_a_chart_without_dates_is_empty() -> None:
    chart = draw(START, END, {})
    assert (chart.points, chart.band, chart.dates) == ({}, "", 0)
    assert [name for _, name in chart.months] == ["Oct 2021"]
