"""The pipeline file or the calendar changes under dates: each waits for what they say now."""

import datetime as dt

import pytest

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.records import Mark, Sources
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.fakes import Work
from tests.simulation.world import ME, World

OPENER = dt.date(2021, 10, 19)
DAYS = [OPENER + dt.timedelta(days=n) for n in range(12)]
DAY = DAYS[8]
NO_GAMES = "no games on this date"


def shape(lookback, opens=OPENER, summaries=("team",), boxes="critical", sources=("box",), **keys):
    season = {"name": "2021-22", "opens": opens, "closes": dt.date(2022, 6, 16)}
    return pipeline(
        phase("raw", *(processor(name, priority=boxes) for name in sources)),
        phase("mid", *map(processor, summaries)),
        phase("last", processor("zones"), order="sequential", lookback=lookback),
        calendar={"file": "calendar.csv", "season": [season]},
        **keys,
    )


def world_of(folder, first, calendar=None):
    return World(first, calendar if calendar is not None else dict.fromkeys(DAYS, 5), folder)


def in_the_phase_before(world, date):
    """Let a date come as far as the phase before the sequential one, where its job is about to end."""
    world.script = lambda job: Work(seconds=600.0, effect=world.well(job).effect)
    world.enqueue(date, date)
    while world.dates()[date].state != "mid":
        world.step()


def restart(world, changed):
    world.pipeline = changed
    world.start()
    world.run(limit=200)


def sentence(world, date=DAY):
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]])[date]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (shape(1), shape(8)),
        (shape(0), shape("season")),
        (shape("season", opens=DAYS[5]), shape("season")),
        (shape(8), shape(8, summaries=("team", "player"))),
    ],
    ids=["lookback 1 to 8", "lookback 0 to season", "an opener five days earlier", "one processor more"],
)
def test_a_date_in_the_phase_before_waits_for_the_earlier_dates_of_the_changed_file(tmp_path, before, after):
    # Given a date whose earlier dates, as far as its lookback reaches, are complete
    world = world_of(tmp_path, before)
    reach = {"1": DAYS[7:8], "0": [], "8": DAYS[:8], "season": DAYS[5:8]}
    for date in reach[str(before.lookback(before.phase[2]))]:
        world.fill("team", date)
    in_the_phase_before(world, DAY)
    # When the daemon starts again with the changed file
    restart(world, after)
    # Then it waits for the earliest date that is missing now, by its name
    assert world.dates()[DAY].waiting == "earlier_date"
    assert sentence(world).startswith(f"blocked by {DAYS[0]}, which was never enqueued: ")
    # And goes on once all of them are there
    for date in DAYS[:8]:
        for name in ("team", "player"):
            world.fill(name, date)
    for _ in range(20):
        world.engine.recheck_missing_upstream()
        world.run(limit=50)
    assert world.dates()[DAY].outcome == "complete"


def test_an_earlier_day_that_gains_counts_blocks_a_date_that_is_under_way(tmp_path):
    # Given a date whose earlier days have no games
    calendar = {DAY: 5}
    world = world_of(tmp_path, shape(8), calendar)
    in_the_phase_before(world, DAY)
    # When the schedule gains games on one of them
    calendar[DAYS[3]] = 2
    world.engine.recheck_calendar()
    world.run(limit=200)
    # Then the date waits for it
    assert world.dates()[DAY].waiting == "earlier_date"
    assert sentence(world).startswith(f"blocked by {DAYS[3]}, which was never enqueued: team is never_ran")


def dismissed(folder):
    """A world with a done date on which nothing was expected."""
    calendar = dict.fromkeys(DAYS, 5)
    calendar[DAYS[3]] = 0
    world = world_of(folder, shape(8), calendar)
    world.enqueue(DAYS[0], DAYS[5])
    world.run(limit=200)
    assert world.dates()[DAYS[3]].outcome == "not_expected"
    return world, calendar


@pytest.mark.parametrize("noticed_by", ["the sweep", "a live date"])
def test_a_day_that_was_not_expected_and_gains_counts_is_regressed_and_runs_when_asked_for(
    tmp_path, noticed_by
):
    # Given a done day without games
    world, calendar = dismissed(tmp_path)
    # When the schedule gains two games
    calendar[DAYS[3]] = 2
    world.time += 8 * 86400.0
    if noticed_by == "the sweep":
        assert world.engine.sweeper.run() == 6
    else:
        world.enqueue(DAYS[6], DAYS[6])
        world.engine.recheck_calendar()
    # Then it says so
    text = "was not_expected; the calendar now expects 2 games"
    assert world.dates()[DAYS[3]].regressed == text
    # And a later date waits for it by name
    world.enqueue(DAYS[6], DAYS[6])
    world.run(limit=200)
    assert world.dates()[DAYS[6]].waiting == "earlier_date"
    assert f"blocked by {DAYS[3]}" in sentence(world, DAYS[6])
    # Until a retry of what regressed runs it
    assert retry_marked(world.commands, Mark.REGRESSED, DAYS[0], DAYS[-1]) == [DAYS[3]]
    world.run(limit=200)
    assert (world.dates()[DAYS[3]].outcome, world.dates()[DAYS[3]].regressed) == ("complete", "")
    assert world.dates()[DAYS[6]].outcome == "complete"


def test_a_request_runs_a_day_that_gained_counts(tmp_path):
    world, calendar = dismissed(tmp_path)
    calendar[DAYS[3]] = 2
    world.time += 61
    assert world.enqueue(DAYS[3], DAYS[3]).outcomes == {"enqueued": 1}
    world.run(limit=200)
    assert world.dates()[DAYS[3]].outcome == "complete"


def test_a_live_date_that_loses_its_counts_is_dismissed_and_holds_no_other_up(tmp_path):
    # Given a date that waits for an earlier one, before either had an attempt
    calendar = dict.fromkeys(DAYS, 5)
    world = world_of(tmp_path, shape(8), calendar)
    world.warehouse.broken["box"] = "table is locked"
    world.enqueue(DAYS[0], DAYS[1])
    for _ in range(5):
        world.step()
    # When the schedule loses the first
    calendar[DAYS[0]] = 0
    world.engine.recheck_calendar()
    del world.warehouse.broken["box"]
    world.run(limit=200)
    # Then it is dismissed, and the other goes on
    assert world.dates()[DAYS[0]].outcome == "not_expected"
    assert world.attempts(DAYS[0]) == []
    assert world.dates()[DAYS[1]].outcome == "complete"


def test_a_failed_date_that_loses_its_counts_no_longer_blocks_later_ones(tmp_path):
    # Given a failed date, and one that waits for it
    calendar = dict.fromkeys(DAYS, 5)
    world = world_of(tmp_path, shape(8), calendar)

    def script(job):
        first = job.env["BACKFILLD_DATE"] == DAYS[0].isoformat()
        return Work(code=1) if first and job.env["BACKFILLD_PROCESSOR"] == "team" else world.well(job)

    world.script = script
    world.enqueue(DAYS[0], DAYS[1])
    world.run(limit=300)
    assert world.dates()[DAYS[1]].waiting == "earlier_date"
    # When the schedule loses its games
    calendar[DAYS[0]] = 0
    world.engine.recheck_calendar()
    world.run(limit=200)
    assert world.dates()[DAYS[1]].outcome == "complete"


def test_a_season_corrected_in_the_file_reaches_dates_already_admitted_and_those_dismissed(tmp_path):
    # Given a date before the opener, and one that was admitted
    calendar = dict.fromkeys(DAYS, 5)
    world = world_of(tmp_path, shape(0, opens=DAYS[4]), calendar)
    world.enqueue(DAYS[2], DAYS[2])
    in_the_phase_before(world, DAY)
    assert world.dates()[DAYS[2]].outcome == "not_expected"
    # When the file says that the season opened four days before
    restart(world, shape("season"))
    # Then the dismissed date is regressed, and the admitted one waits for it by name
    assert "the calendar now expects 5 games" in world.dates()[DAYS[2]].regressed
    assert sentence(world).startswith(f"blocked by {DAYS[2]}, which is done, but team is never_ran")


def test_a_file_that_ends_a_season_earlier_dismisses_a_date_that_had_no_attempt(tmp_path):
    world = world_of(tmp_path, shape(0))
    world.warehouse.broken["box"] = "table is locked"
    world.enqueue(DAY, DAY)
    for _ in range(5):
        world.step()
    assert world.dates()[DAY].state == "raw"
    restart(world, shape(0, opens=DAYS[9]))
    assert world.dates()[DAY].outcome == "not_expected"


def test_the_calendar_is_asked_for_live_dates_alone_and_not_while_queries_are_on_hold(tmp_path):
    world, _ = dismissed(tmp_path)
    before = world.warehouse.calendar_questions
    world.engine.recheck_calendar()
    assert world.warehouse.calendar_questions == before
    world.enqueue(DAYS[6], DAYS[6])
    world.warehouse.down = "refused"
    world.engine.recheck_calendar()
    world.engine.recheck_calendar()
    assert world.warehouse.calendar_questions == before + 2


def waived_and_at_work(folder, calendar, waived_by):
    """A date that has passed a missing output by a waiver, and whose next job runs and will write nothing."""
    world = world_of(folder, shape(8, boxes="important"), calendar)
    if waived_by == "an operator":
        world.commands.accept(DAY, "box", reason="lost at the source", by=ME)
    world.script = lambda job: Work(seconds=600.0)
    world.enqueue(DAY, DAY, sources=Sources.NONE)
    while world.dates()[DAY].state != "mid" or not world.executor.alive:
        world.step()
    return world


def box(world):
    with world.db.read() as tx:
        return checks.for_dates(tx, [DAY])[DAY]["box"]


@pytest.mark.parametrize(
    ("changed", "waived_by"), [("the opener", "the request"), ("the schedule", "an operator")]
)
def test_a_date_of_which_nothing_is_expected_any_more_ends_as_that_and_not_as_waived(
    tmp_path, changed, waived_by
):
    # Given a date with a waived output, while a job of its next state runs
    calendar = {DAY: 5}
    world = waived_and_at_work(tmp_path, calendar, waived_by)
    # When nothing is expected of it any more
    if changed == "the opener":
        world.pipeline = shape(8, opens=DAYS[9], boxes="important")
        world.start()
    else:
        calendar[DAY] = 0
        world.engine.recheck_calendar()
    world.run(limit=200)
    # Then it ends as not expected, with the reason, and no waiver of the request is left
    row = world.dates()[DAY]
    assert (row.state, row.outcome) == ("done", "not_expected")
    assert row.reason == ("preseason: 2021-22 opens 2021-10-28" if changed == "the opener" else NO_GAMES)
    assert (box(world).waived_by, box(world).satisfied) == ("", True)
    assert bool(box(world).accepted_reason) is (waived_by == "an operator")


def test_a_waiver_of_a_date_that_was_dismissed_does_not_hide_what_is_missing_later(tmp_path):
    # Given a date that is done with a waived output, and dismissed by a retry after it lost its games
    calendar = {DAY: 5}
    world = world_of(tmp_path, shape(8, boxes="important"), calendar)
    world.enqueue(DAY, DAY, sources=Sources.NONE)
    world.run(limit=200)
    assert world.dates()[DAY].outcome == "waived"
    calendar[DAY] = 0
    world.commands.retry_date(DAY, by=ME)
    world.engine.recheck_calendar()
    world.run(limit=200)
    assert (world.dates()[DAY].outcome, box(world).waived_by) == ("not_expected", "")
    # When the schedule has its games again, then the output is missing
    calendar[DAY] = 5
    world.time += 8 * 86400.0
    world.engine.sweeper.run()
    world.run(limit=200)
    assert "the calendar now expects 5 games" in world.dates()[DAY].regressed
    assert (box(world).verdict, box(world).satisfied) == ("never_ran", False)


def test_a_date_that_a_changed_file_puts_back_is_dismissed_only_after_its_running_attempt(tmp_path):
    # Given a date with a running job
    world = world_of(tmp_path, shape(0))
    in_the_phase_before(world, DAY)
    world.settle()
    assert world.executor.alive
    # When the file gains a processor of a state before, and expects nothing of the date any more
    world.pipeline = shape(0, opens=DAYS[9], sources=("box", "plays"))
    world.start()
    world.settle()
    # Then the date waits for the job, and is dismissed after it
    row = world.dates()[DAY]
    assert (row.state in FINAL, row.waiting) == (False, "attempt")
    world.run(limit=200)
    assert not world.executor.alive
    assert world.dates()[DAY].outcome == "not_expected"


def test_a_done_date_that_loses_its_counts_shows_the_rows_that_are_there(tmp_path):
    calendar = {DAY: 5}
    world = world_of(tmp_path, shape(8), calendar)
    world.enqueue(DAY, DAY)
    world.run(limit=200)
    rows = box(world).rows
    assert (box(world).verdict, rows > 0) == ("complete", True)
    calendar[DAY] = 0
    world.time += 8 * 86400.0
    world.engine.sweeper.run()
    world.run(limit=200)
    found = box(world)
    assert (found.verdict, found.satisfied, found.rows) == ("not_expected", True, rows)
    assert found.reason == f"{NO_GAMES}; unexpected rows: {rows}"
