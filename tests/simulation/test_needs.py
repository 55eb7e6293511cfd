"""Needs at work: balances, sessions and reports wait for what they need, and go stale with it."""

import datetime as dt

import pytest

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.records import Mark
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.fakes import Work
from tests.simulation.world import ME, World

DAYS = [dt.date(2024, 5, n) for n in range(1, 11)]
JOBS = {"slots": 8, "backoff": "60s", "max_attempts": 2}


def platform(tmp_path, *phases, **keys) -> World:
    """A platform without seasons, on which every date is expected."""
    return World(pipeline(*phases, calendar={}, jobs=JOBS, **keys), {}, tmp_path)


def bank(tmp_path, order="parallel", **keys) -> World:
    """A running balance: each date is the one before, and its own bookings."""
    balance = processor("balance", depends_on_past=True, writers=4, **keys)
    return platform(tmp_path, phase("raw", processor("bookings")), phase("derived", balance, order=order))


def fails_on(world: World, name: str, date: dt.date, times: int = 10**6) -> None:
    """Let the first jobs of one processor's date exit with 1."""
    well, left = world.script, iter(range(times))

    def script(job):
        env = job.env
        same = env["BACKFILLD_PROCESSOR"] == name and env["BACKFILLD_DATE"] == str(date)
        return Work(code=1) if same and next(left, None) is not None else well(job)

    world.script = script


def started(world: World, name: str) -> list[str]:
    """The dates for which a processor's jobs were launched, in order."""
    return [j.env["BACKFILLD_DATE"] for j in world.executor.launched if j.env["BACKFILLD_PROCESSOR"] == name]


def sentence(world: World, date: dt.date) -> str:
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]])[date]


def stale(world: World) -> list[dt.date]:
    return [date for date, row in world.dates().items() if row.stale_at is not None]


# The past


@pytest.mark.parametrize("order", ["parallel", "sequential"])
def test_no_date_passes_an_earlier_one_that_waits_for_its_next_attempt(tmp_path, order):
    # Given a balance whose job fails once on the fifth date
    world = bank(tmp_path, order)
    fails_on(world, "balance", DAYS[4], times=1)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    # Then no later date started before the second attempt
    assert started(world, "balance") == [str(day) for day in (*DAYS[:5], *DAYS[4:])]
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    assert stale(world) == []


def test_no_date_passes_an_earlier_one_that_failed_and_each_says_so(tmp_path):
    world = bank(tmp_path)
    fails_on(world, "balance", DAYS[4])
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    assert world.dates()[DAYS[4]].state == "failed"
    assert started(world, "balance") == [str(day) for day in (*DAYS[:5], DAYS[4])]
    assert sentence(world, DAYS[-1]).startswith(f"blocked by {DAYS[4]}, which failed: balance: ")
    # When it is repaired, all go on in order
    world.script = world.well
    world.executor.launched.clear()
    world.commands.retry_date(DAYS[4], by=ME)
    world.run()
    assert started(world, "balance") == [str(day) for day in DAYS[4:]]
    assert not world.live()


def test_a_date_between_that_was_never_enqueued_is_missing(tmp_path):
    world = bank(tmp_path)
    world.enqueue(DAYS[0], DAYS[1])
    world.enqueue(DAYS[3], DAYS[4])
    world.run(limit=200)
    assert started(world, "balance") == [str(DAYS[0]), str(DAYS[1])]
    assert sentence(world, DAYS[4]).startswith(f"blocked by {DAYS[2]}, which was never enqueued: balance is ")
    world.enqueue(DAYS[2], DAYS[2])
    world.run()
    assert started(world, "balance") == [str(day) for day in DAYS[:5]]


def test_the_past_of_a_processor_with_since_begins_there_and_not_with_the_first_request(tmp_path):
    world = bank(tmp_path, since=DAYS[0])
    world.enqueue(DAYS[2], DAYS[3])
    world.run(limit=200)
    assert started(world, "balance") == []
    assert sentence(world, DAYS[3]).startswith(f"blocked by {DAYS[0]}, which was never enqueued")


def test_a_date_whose_rows_are_there_waits_for_the_one_before_it_all_the_same(tmp_path):
    world = bank(tmp_path)
    for day in DAYS[5:]:
        world.fill("balance", day)
    fails_on(world, "balance", DAYS[4])
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    assert [row.date for row in world.live()] == DAYS[5:]


def test_a_repaired_date_makes_all_later_balances_stale_and_a_cascade_computes_them_in_order(tmp_path):
    world = bank(tmp_path)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    world.executor.launched.clear()
    world.time += 3600
    # When a balance is lost and written again
    world.fill("balance", DAYS[4], rows=0)
    world.commands.retry_date(DAYS[4], by=ME, cascades=False)
    world.run()
    assert started(world, "balance") == [str(DAYS[4])]
    assert stale(world) == DAYS[5:]
    # Then a retry of what is stale computes each later date once, oldest first
    world.executor.launched.clear()
    world.commands.retry_date(DAYS[4], by=ME, cascades=True)
    world.run()
    assert started(world, "balance") == [str(day) for day in DAYS[5:]]
    assert stale(world) == []


def test_a_forced_range_rewrites_each_date_after_the_one_before_it(tmp_path):
    world = bank(tmp_path)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    world.executor.launched.clear()
    fails_on(world, "balance", DAYS[4])
    world.enqueue(DAYS[0], DAYS[-1], force=True)
    world.run()
    # Then the failed one keeps the later ones from being computed from its old rows
    assert started(world, "balance") == [str(day) for day in (*DAYS[:5], DAYS[4])]
    assert world.dates()[DAYS[4]].state == "failed"


def test_a_forced_rerun_that_fails_lets_nothing_downstream_compute_from_its_old_rows(tmp_path):
    # Given a source that five processors read, all complete
    readers = [processor(f"reader_{n}") for n in range(5)]
    world = platform(tmp_path, phase("raw", processor("sales")), phase("derived", *readers))
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    world.executor.launched.clear()
    # When a forced rerun of the source exits with 1, and its old rows are there
    fails_on(world, "sales", DAYS[0])
    backfill = world.enqueue(DAYS[0], DAYS[0], force=True)
    world.run()
    # Then the date failed, and no reader ran
    row = world.dates()[DAYS[0]]
    assert (row.state, row.outcome, backfill.id) == ("failed", "exhausted", row.backfill_id)
    assert {job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched} == {"sales"}


def test_what_becomes_missing_while_a_date_waits_for_a_slot_keeps_it_from_starting(tmp_path):
    # Given a sequential phase that is busy, and a date that waits for its slot
    world = platform(
        tmp_path,
        phase("raw", processor("events")),
        phase("derived", processor("sessions", needs=[{"of": "events", "days_back": 2}]), order="sequential"),
    )
    slow = {"sessions": Work(seconds=600.0)}
    well = world.well
    world.script = lambda job: slow.pop(job.env["BACKFILLD_PROCESSOR"], None) or well(job)
    for day in (DAYS[0] - dt.timedelta(days=1), DAYS[0] - dt.timedelta(days=2)):
        world.fill("events", day)
    world.enqueue(DAYS[0], DAYS[1])
    while started(world, "sessions") != [str(DAYS[0])]:
        world.step()
    world.settle()
    assert world.dates()[DAYS[1]].waiting == "slot"
    # When an earlier date of its source is found to be lost
    lost = DAYS[0] - dt.timedelta(days=1)
    world.fill("events", lost, rows=0)
    with world.db.write() as tx:
        checks.request_check(tx, [(lost, "events")], world.time)
    world.run(limit=100)
    # Then it waits for that one
    assert str(DAYS[1]) not in started(world, "sessions")
    assert sentence(world, DAYS[1]).startswith(f"blocked by {lost}, which was never enqueued: events is ")


# Windows of single processors


def events(tmp_path) -> World:
    """Sessions over three days of events, beside a report of the same date."""
    sessions = processor("sessions", needs=[{"of": "events", "days_back": 2}])
    return platform(
        tmp_path,
        phase("raw", processor("events"), processor("sales")),
        phase("derived", sessions, processor("report", needs=[])),
    )


def test_a_bad_date_holds_only_the_processors_whose_window_includes_it(tmp_path):
    world = events(tmp_path)
    for n in (1, 2):
        world.fill("events", DAYS[0] - dt.timedelta(days=n))
    fails_on(world, "events", DAYS[4])
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    ran = {day for day in DAYS if day != DAYS[4]}
    # Then the report of every other date ran, and sessions wait on two dates alone
    assert set(started(world, "report")) == {str(day) for day in ran}
    assert set(started(world, "sessions")) == {str(day) for day in ran - {DAYS[5], DAYS[6]}}
    assert [row.date for row in world.live()] == [DAYS[5], DAYS[6]]
    # When it is repaired, they go on
    world.script = world.well
    world.commands.retry_date(DAYS[4], by=ME)
    world.run()
    assert not world.live()


def test_a_processor_goes_on_although_another_of_its_date_still_runs(tmp_path):
    # Given a report that takes an hour on each date, and an earlier date of events that comes late
    world = events(tmp_path)
    before = [DAYS[0] - dt.timedelta(days=n) for n in (1, 2)]
    world.fill("events", before[0])
    well = world.well

    def script(job):
        slow = job.env["BACKFILLD_PROCESSOR"] == "report"
        return Work(effect=well(job).effect, seconds=3600.0) if slow else well(job)

    world.script = script
    world.enqueue(DAYS[0], DAYS[0])
    while not started(world, "report"):
        world.step()
    world.settle()
    assert started(world, "sessions") == []
    # When that is filled and asked about
    world.fill("events", before[1])
    with world.db.write() as tx:
        checks.request_check(tx, [(before[1], "events")], world.time)
    world.settle()
    # Then sessions start while the report runs
    assert started(world, "sessions") == [str(DAYS[0])]


def test_rows_erased_from_old_dates_make_what_is_built_on_them_stale_as_far_as_its_window(tmp_path):
    world = events(tmp_path)
    for day in (*DAYS, *(DAYS[0] - dt.timedelta(days=n) for n in (1, 2))):
        world.fill("events", day, rows=9)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    # When users are erased from two dates, and these are looked at again
    for day in DAYS[3:5]:
        world.fill("events", day, rows=8)
    world.time += 8 * 86400
    while world.engine.sweeper.run():
        world.settle()
    # Then sessions of these dates and of the two after each are stale, and the report of the same dates
    assert stale(world) == DAYS[3:7]
    with world.db.read() as tx:
        marked = {
            (date, name)
            for date, by_name in checks.for_dates(tx, DAYS).items()
            for name, check in by_name.items()
            if check.stale_at is not None
        }
    assert marked == {(d, "sessions") for d in DAYS[3:7]} | {(d, "report") for d in DAYS[3:5]}
    # And a retry of what is stale computes exactly that again
    world.executor.launched.clear()
    retry_marked(world.commands, Mark.STALE, DAYS[0], DAYS[-1])
    world.run()
    assert set(started(world, "sessions")) == {str(day) for day in DAYS[3:7]}
    assert set(started(world, "report")) == {str(day) for day in DAYS[3:5]}
    assert stale(world) == []


def test_a_missing_report_of_a_monday_fails_and_its_absence_on_other_days_does_not(tmp_path):
    # Given daily sales and a report on Mondays, which fails on the second
    world = World(
        pipeline(
            phase("daily", processor("sales")),
            phase("reports", processor("report", days="mondays", depends_on_past=True)),
            calendar={"days": [{"name": "mondays", "weekdays": ["mon"]}]},
            jobs=JOBS,
        ),
        {},
        tmp_path,
    )
    days = [DAYS[0] + dt.timedelta(days=n) for n in range(28)]
    mondays = [day for day in days if day.weekday() == 0]
    fails_on(world, "report", mondays[1])
    world.enqueue(days[0], days[-1])
    world.run()
    # Then that one failed, the next ones wait for it, and all other dates are done without a report
    states = {date: row.state for date, row in world.dates().items()}
    assert states[mondays[1]] == "failed"
    assert [row.date for row in world.live()] == mondays[2:]
    assert started(world, "report") == [str(mondays[0]), str(mondays[1]), str(mondays[1])]
    assert {states[day] for day in days if day not in mondays} == {"done"}


def test_a_season_with_lookback_and_with_the_same_needs_runs_the_same_jobs_in_the_same_order(tmp_path):
    days = {dt.date(2021, 10, 19) + dt.timedelta(days=n): 5 for n in range(20)}
    stated = [{"of": name, "since": "season"} for name in ("team", "player")]
    launched = []
    for number, keys in enumerate(({}, {"needs": stated})):
        shape = pipeline(
            phase("phase2", processor("box"), processor("pbp")),
            phase("phase3", processor("team"), processor("player", after=["team"])),
            phase(
                "phase4",
                *(processor(name, **keys) for name in ("zones", "cache")),
                order="sequential",
                skip_bootstrap=True,
            ),
            jobs={"slots": 8, "backoff": "10s"},
        )
        folder = tmp_path / str(number)
        folder.mkdir()
        world = World(shape, days, folder, seed=7)
        fails_on(world, "team", min(days), times=2)
        world.enqueue(min(days), max(days))
        world.run()
        jobs = [(j.env["BACKFILLD_DATE"], j.env["BACKFILLD_PROCESSOR"]) for j in world.executor.launched]
        launched.append((jobs, world.time))
    assert launched[0] == launched[1]
