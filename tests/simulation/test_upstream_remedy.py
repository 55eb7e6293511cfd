"""A date that waits for dates that were never enqueued names the command that fills all of them at once."""

import datetime as dt

import pytest

from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.rules.processor_selection import resolve
from backfilld.state.store import backfills
from tests.factories import phase, pipeline, pipeline_data, processor
from tests.simulation.world import World

MAY = [dt.date(2024, 5, n) for n in range(1, 21)]
LAST = MAY[-1]  # a Monday


def platform(tmp_path, *derived, season=False, **keys):
    """Events of each day, what is built on them, and what is built on that; some of it on Mondays alone."""
    calendar = {"days": [{"name": "mondays", "weekdays": ["mon"]}]}
    if season:
        calendar["season"] = [{"name": "2024", "opens": MAY[2], "closes": LAST}]
    file = pipeline(
        phase("raw", processor("events"), processor("stores")),
        phase("weeks", processor("weekly", **keys)),
        phase("reports", *derived),
        calendar=pipeline_data()["calendar"] | calendar if season else calendar,
        jobs={"slots": 8, "backoff": "10s"},
    )
    return World(file, dict.fromkeys(MAY, 1) if season else {}, tmp_path)


def sentence(world, date=LAST):
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]]).get(date, "")


def run_command(world):
    """Enqueue what the sentence of the last date says; the command without its program."""
    command = sentence(world).split("; backfilld enqueue ")[1]
    span, _, options = command.partition(" --select ")
    names, _, upstream = options.partition(" ")
    selection = resolve(world.pipeline, names.split(","), (), with_upstream=bool(upstream))
    start, *end = map(dt.date.fromisoformat, span.split())
    world.enqueue(start, *(end or [start]), selection=selection)
    world.run(limit=2000)
    return command


def report(**keys):
    return processor("report", **keys)


@pytest.mark.parametrize(
    ("derived", "weekly", "command"),
    [
        (report(needs=[{"of": "weekly", "days_back": 8}]), {"days": "mondays"}, "2024-05-13 --select weekly"),
        (
            report(needs=[{"of": "weekly", "days_back": 7}]),
            {"days": "mondays", "needs": [{"of": "events", "days_back": 6}]},
            "2024-05-07 2024-05-19 --select events,weekly",
        ),
        (
            report(needs=[{"of": "weekly", "since": "month"}, {"of": "stores", "days_back": 3}]),
            {},
            "2024-05-01 2024-05-19 --select stores,weekly",
        ),
        (report(depends_on_past=True, since=MAY[4]), {}, "2024-05-05 2024-05-19 --select report"),
        (
            report(needs=[{"self": True, "days_back": 2}, {"of": "events"}]),
            {},
            "2024-05-18 2024-05-19 --select report",
        ),
        (
            report(needs=[{"of": "weekly", "since": "season"}]),
            {},
            "2024-05-03 2024-05-19 --select weekly",
        ),
    ],
    ids=["weekly", "a week of events", "since a month", "depends on past", "own days back", "since a season"],
)
def test_one_command_fills_all_that_a_date_needs_of_dates_that_were_never_enqueued(
    tmp_path, derived, weekly, command
):
    season = any(need.get("since") == "season" for need in derived.get("needs", ()))
    world = platform(tmp_path, derived, season=season, **weekly)
    world.enqueue(LAST, LAST)
    world.run(limit=300)
    assert run_command(world).removesuffix(" --with-upstream") == command
    if "self" not in str(derived):  # the days before those before have no beginning
        assert world.dates()[LAST].outcome == "complete"
        assert not world.live()


def test_what_is_there_is_not_in_the_range(tmp_path):
    # Given a month of which only two dates are missing
    world = platform(tmp_path, report(needs=[{"of": "weekly", "since": "month"}]))
    for date in MAY:
        for name in ("events", "stores", "weekly"):
            if date not in (MAY[6], MAY[9]):
                world.fill(name, date)
    world.enqueue(LAST, LAST)
    world.run(limit=300)
    # Then the range is from the one to the other, and nothing runs for the dates between
    assert run_command(world) == "2024-05-07 2024-05-10 --select weekly --with-upstream"
    assert {job.env["BACKFILLD_DATE"] for job in world.executor.launched} == {
        str(date) for date in (MAY[6], MAY[9], LAST)
    }
    assert world.dates()[LAST].outcome == "complete"


def test_a_done_date_for_which_less_was_selected_is_filled_by_its_processor(tmp_path):
    # Given an earlier date that is done with its sources alone, which a retry would only do again
    world = platform(tmp_path, report(needs=[{"of": "weekly", "days_back": 1}]))
    world.enqueue(MAY[-2], MAY[-2], selection=("events", "stores"))
    world.run(limit=300)
    world.enqueue(LAST, LAST)
    world.run(limit=300)
    assert sentence(world).startswith(f"blocked by {MAY[-2]}, which is done, but weekly is never_ran")
    assert run_command(world) == "2024-05-19 --select weekly --with-upstream"
    assert world.dates()[LAST].outcome == "complete"


def test_what_a_selected_month_misses_is_one_command_for_the_whole_month(tmp_path):
    # Given a monthly processor that is selected alone, for a part of its month
    monthly = processor("monthly", period="month", command=["true", "{start}", "{end}"])
    made = pipeline(
        phase("raw", processor("events")),
        phase("marts", monthly),
        calendar={"query": "SELECT 1"},
        history=None,
    )
    world = World(made, dict.fromkeys(MAY, 1), tmp_path)
    receipt = world.enqueue(MAY[2], MAY[4], selection=("monthly",))
    world.run(limit=300)
    command = f"backfilld enqueue {MAY[0]} {MAY[-1]} --select monthly --with-upstream"
    # Then each date and the backfill name it
    with world.db.read() as tx:
        waits = waiting_on(tx, world.context, world.live()[1:2])
        _, stuck_on = stuck_backfills.status(tx, world.context, backfills.get(tx, receipt.id))
    assert [text.rpartition("; ")[2] for text in waits.values()] == [command]
    assert stuck_on.endswith(f"and not selected; {command}")
    # And it is enough
    world.enqueue(MAY[0], MAY[-1], selection=("monthly", "events"))
    world.run(limit=2000)
    assert not world.live()
