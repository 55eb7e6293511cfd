"""A plan says which jobs wait for which opening of a window, and when it can have ended."""

import datetime as dt

from backfilld.api.cli import show_plan
from backfilld.api.schemas import plans
from backfilld.state.formatting import format_utc
from tests.factories import HOUR, NOW, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse
from tests.platform import OPENING
from tests.unit.plans import planned

# NOW is noon in UTC.
OPENS = NOW + 4 * HOUR


def night(**keys):
    """Closed from 8 to 16 o'clock."""
    return [{"name": "office", "closes": "08:00", "opens": "16:00", "timezone": "UTC", **keys}]


def made_with(*processors, windows, end=None, **options):
    shape = pipeline(phase("raw", *processors), window=windows)
    return planned(shape, FakeWarehouse(shape, calendar=OPENING), "2021-10-19", end, **options)


def printed(made):
    return "\n".join(line.plain for line in show_plan.lines(made))


def test_without_windows_nothing_waits_and_it_ends_after_its_work():
    made = made_with(processor("box", estimate="1h"), windows=[])
    assert (made.openings, made.finish_at) == ([], NOW + HOUR)
    assert "window" not in printed(made)


def test_jobs_of_a_closed_window_wait_for_its_opening_and_the_others_do_not():
    box, odds = processor("box", estimate="1h"), processor("odds", estimate="10m")
    made = made_with(box, odds, windows=night(processors=["box"]))
    (opening,) = made.openings
    assert (opening.window, opening.opens_at, opening.processors) == ("office", OPENS, ["box"])
    assert made.finish_at == OPENS + HOUR
    assert f"# waits for the window office to open at {format_utc(OPENS)}: 1 step of box" in printed(made)
    assert f"# earliest finish: {format_utc(OPENS + HOUR)}, as the windows allow" in printed(made)
    # The hours of work are those without the window
    assert made.seconds == HOUR


def test_what_does_not_fit_before_the_next_closing_waits_for_the_opening_after_it():
    # Given ten jobs of two hours, one after another, and 16 hours a day
    made = made_with(processor("box", estimate="2h"), windows=night(), end="2021-10-28")
    first, second = made.openings
    assert (len(first.steps), len(second.steps)) == (1, 1)
    assert second.opens_at == OPENS + 24 * HOUR
    assert made.finish_at == OPENS + 24 * HOUR + 2 * 2 * HOUR


def test_a_job_that_is_longer_than_a_window_is_ever_open_never_starts():
    past = {"box": 20 * HOUR}
    made = made_with(processor("box", timeout="30h"), windows=night(), typical_seconds=past.get)
    assert (made.openings[0].opens_at, made.finish_at) == (None, None)
    assert "never starts: 1 step of box: the window office is never open for that long" in printed(made)
    assert plans.Plan.plain(made)["openings"][0]["opens_at"] is None


def test_the_json_has_the_openings_and_the_finish_as_times():
    document = plans.Plan.plain(made_with(processor("box", estimate="1h"), windows=night()))
    assert dt.datetime.fromisoformat(document["finish_at"]).timestamp() == OPENS + HOUR
    assert document["openings"] == [
        {"window": "office", "opens_at": "2025-12-01T16:00:00.000Z", "processors": ["box"], "steps": [1]}
    ]
