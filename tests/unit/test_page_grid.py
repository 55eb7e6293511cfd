"""The calendar grid: which row a date is in, where its square lies, and how it looks."""

import datetime as dt

from backfilld.api.page import calendar_heatmap
from backfilld.api.page.date_styles import SHADES, DateStyles
from backfilld.state.rules.season_calendar import Calendar, Season
from backfilld.state.store.pace_and_calendar_queries import Cell

SEASON = Season(name="2021-22", opens=dt.date(2021, 10, 19), closes=dt.date(2022, 6, 16))
SEASONS = Calendar([SEASON], counted=True)
NONE = Calendar([], counted=False)
STYLES = DateStyles(["pending", "phase2", "phase3", "done", "failed"])


def done(day: dt.date, outcome: str = "complete") -> Cell:
    return Cell(day, "done", outcome)


def test_weeks_go_right_and_days_go_down_from_monday() -> None:
    # Given the opener, a Tuesday, and the Monday after it
    (row,) = calendar_heatmap.rows([done(SEASON.opens), done(dt.date(2021, 10, 25))], SEASONS, STYLES)
    # Then one is below its week's Monday, and the other on top of the next week
    assert row.first == dt.date(2021, 10, 18)
    (layer,) = row.layers
    assert layer.squares == "M0 19m1 1h7v7h-7zM10 9m1 1h7v7h-7z"


def test_a_season_is_shown_whole_whatever_was_enqueued_of_it() -> None:
    (row,) = calendar_heatmap.rows([done(SEASON.opens)], SEASONS, STYLES)
    assert row.weeks == 35
    assert row.blank.count("M") == (SEASON.closes - SEASON.opens).days
    assert [name for _, name in row.months] == ["Nov", "Dec", "Jan", "Feb", "Mar", "Apr", "May", "Jun"]


def test_dates_just_outside_of_a_season_are_in_its_row_and_others_in_their_years() -> None:
    cells = [done(dt.date(2019, 5, 1)), done(dt.date(2021, 10, 15), "not_expected")]
    assert [(row.name, row.dates) for row in calendar_heatmap.rows(cells, SEASONS, STYLES)] == [
        ("2019", 1),
        ("2021-22", 1),
    ]


def test_without_seasons_each_year_is_a_row() -> None:
    cells = [done(dt.date(2020, 12, 31)), done(dt.date(2021, 1, 1))]
    assert [row.name for row in calendar_heatmap.rows(cells, NONE, STYLES)] == ["2020", "2021"]


def test_what_looks_alike_is_one_layer_and_marks_are_drawn_where_colours_may_not_do() -> None:
    days = [SEASON.opens + dt.timedelta(days=n) for n in range(4)]
    cells = [done(days[0]), done(days[1]), Cell(days[2], "failed", "exhausted"), Cell(days[3], "phase2", "")]
    (row,) = calendar_heatmap.rows(cells, SEASONS, STYLES, running=[days[3]])
    assert [(layer.style.label, layer.n, layer.glyphs.count("M")) for layer in row.layers] == [
        ("complete", 2, 0),
        ("phase2", 1, 0),
        ("failed: attempts used up", 1, 1),
    ]
    assert row.running.count("M") == 1
    assert row.summary == "2 complete, 1 phase2, 1 failed: attempts used up"


def test_live_states_are_darker_the_further_they_are() -> None:
    states = [f"step{n}" for n in range(40)]
    styles = DateStyles(["pending", *states, "done", "failed"])
    shades = [int(styles.for_state(state, None).colour.removeprefix("live-")) for state in states]
    assert shades == sorted(shades)
    assert (shades[0], shades[-1]) == (1, SHADES)


def test_a_state_that_the_pipeline_no_longer_has_is_shown_as_pending() -> None:
    assert STYLES.for_state("phase9", None).label == "pending"


def test_a_bar_is_whole_and_tells_ended_dates_by_their_outcome() -> None:
    bar = STYLES.bar({"done": 3, "failed": 1, "phase2": 2}, {"complete": 3, "blocked": 1})
    assert [(part.style.label, part.n) for part in bar] == [
        ("complete", 3),
        ("phase2", 2),
        ("failed: blocked by a source", 1),
    ]
    assert round(sum(part.width for part in bar)) == 100
    assert STYLES.bar({}, {}) == []
