"""Processors with `period`: one attempt for all dates of a week or month, once each of them is ready."""

import datetime as dt
from dataclasses import replace

import pytest

from backfilld.daemon.engine import periods
from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.records import Sources
from backfilld.state.store import backfills
from tests.factories import phase, pipeline, processor
from tests.simulation import directed, harder
from tests.simulation.fakes import Work
from tests.simulation.one_table import success
from tests.simulation.quiescence_invariants import Violation
from tests.simulation.run import Simulator
from tests.simulation.season import fails
from tests.simulation.world import ME, World

FIRST, LAST = dt.date(2021, 11, 1), dt.date(2021, 11, 12)
"""November 2021 in a calendar that expects its first twelve dates."""
CALENDAR = {FIRST + dt.timedelta(days=n): 5 for n in range(12)}
DAY = dt.timedelta(days=1)
RANGE, LIST = ["true", "{start}", "{end}"], ["true", "{dates}"]


def shape(period="month", command=RANGE, jobs=None, **keys):
    """One source, and a statement for the period beside a processor that takes single dates."""
    statement = processor("statement", command=command, period=period, **keys)
    return pipeline(
        phase("raw", processor("box", writers=3)),
        phase("derived", statement, processor("daily", writers=3)),
        jobs={"slots": 6, "backoff": "10s", "breaker_threshold": 0, **(jobs or {})},
    )


@pytest.fixture
def make(tmp_path):
    made = []

    def world(*args, of=None, calendar=CALENDAR, **keys):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(World(of or shape(*args, **keys), calendar, folder))
        return made[-1]

    yield world
    for one in made:
        one.db.close()


def taken(world, name="statement"):
    """The attempts of a processor, each as the numbers of its November days."""
    jobs = [job.env for job in world.executor.launched if job.env["BACKFILLD_PROCESSOR"] == name]
    return [[int(date[-2:]) for date in env["BACKFILLD_DATES"].split(",")] for env in jobs]


def waits(world, date):
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]])[date]


def status(world, receipt):
    with world.db.read() as tx:
        return stuck_backfills.status(tx, world.context, backfills.get(tx, receipt.id))


def days(first, last):
    return list(range(first, last + 1))


def test_one_attempt_takes_the_month_once_its_last_date_is_ready(make):
    world = make()
    receipt = world.enqueue(FIRST, LAST)
    # While sources are still missing, the ready dates name the others
    while world.dates()[FIRST].waiting != "period":
        assert world.step()
        world.settle()
    assert taken(world) == []
    missing = [date for date in CALENDAR if world.dates()[date].state == "raw"]
    text = f"the other dates of November 2021 for statement: {missing[0]} (raw), {missing[1]} (raw), "
    assert waits(world, FIRST) == f"{text}{len(missing) - 2} more"
    assert status(world, receipt)[0] == "active"
    world.run()
    assert taken(world) == [days(1, 12)]
    (job,) = (j for j in world.executor.launched if j.env["BACKFILLD_PROCESSOR"] == "statement")
    assert job.argv[1:] == ("2021-11-01", "2021-11-12")
    assert world.ended(receipt)[1] == {"complete": 12}


def test_a_week_goes_from_monday_to_sunday(make):
    world = make("week")
    world.enqueue(FIRST, LAST)
    world.run()
    assert sorted(taken(world)) == [days(1, 7), days(8, 12)]


def test_a_month_that_another_backfill_completes_waits_for_it_and_names_the_command(make):
    world = make()
    receipt = world.enqueue(FIRST, FIRST + 4 * DAY)
    # The answer to the request says so before anything runs
    cut = "statement takes November 2021 as a whole, and no backfill has 2021-11-06..2021-11-12 of it"
    assert {detail.reason for detail in receipt.details} == {cut}
    world.run()
    assert taken(world) == []
    remedy = "no backfill fills 2021-11-06..2021-11-12; backfilld enqueue 2021-11-06 2021-11-12"
    assert status(world, receipt) == ("stuck", f"the other dates of November 2021 for statement: {remedy}")
    other = world.enqueue(FIRST + 5 * DAY, LAST, priority=7)
    assert {detail.reason for detail in other.details} == {""}
    world.run()
    # One attempt serves both
    assert taken(world) == [days(1, 12)]
    assert world.status(receipt) == "finished"


def test_a_dry_run_names_the_dates_of_a_month_that_the_request_names(make):
    world = make()
    dry = world.enqueue(FIRST, FIRST + 4 * DAY, dry_run=True)
    assert dry.id is None
    assert dry.details == world.enqueue(FIRST, FIRST + 4 * DAY).details


def test_what_is_complete_is_left_alone_and_no_range_covers_it(make):
    for command, attempts in (
        (LIST, [[1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12]]),
        (RANGE, [days(1, 4), days(6, 12)]),
    ):
        world = make(command=command)
        world.fill("statement", FIRST + 4 * DAY)
        world.enqueue(FIRST, LAST)
        world.run()
        assert taken(world) == attempts


def test_a_date_that_is_complete_and_was_never_enqueued_keeps_nothing_back(make):
    world = make()
    world.fill("statement", LAST)
    receipt = world.enqueue(FIRST, LAST - DAY)
    world.run()
    assert taken(world) == [days(1, 11)]
    assert world.status(receipt) == "finished"


@pytest.mark.parametrize("release", ["retry", "accept"])
def test_a_failed_date_keeps_the_month_back_until_it_is_retried_or_accepted(make, release):
    world = make(jobs={"max_attempts": 1})
    failed = FIRST + 4 * DAY
    well = world.script
    world.script = lambda job: (
        Work(code=1)
        if (job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"]) == ("box", str(failed))
        else well(job)
    )
    receipt = world.enqueue(FIRST, LAST)
    world.run()
    assert taken(world) == []
    name, stuck_on = status(world, receipt)
    assert name == "stuck"
    assert stuck_on.startswith(f"the other dates of November 2021 for statement: {failed} failed: box: ")
    assert stuck_on.endswith(f"; backfilld retry {failed}")
    if release == "retry":
        world.script = well
        world.commands.retry_date(failed, by=ME)
        world.run()
        assert taken(world) == [days(1, 12)]
    else:
        world.commands.accept(failed, "statement", reason="no data that day", by=ME)
        world.run()
        assert taken(world) == [[1, 2, 3, 4], days(6, 12)]


def sources(*later):
    """A source for whole months that a backfill may leave out, beside one for single dates."""
    source = processor("statement", command=RANGE, period="month", priority="fallback")
    return pipeline(phase("raw", source, processor("box")), *later, jobs={"slots": 6})


def test_a_date_whose_backfill_leaves_the_source_out_keeps_the_month_back_until_it_has_passed(make):
    world = make(of=sources())
    world.enqueue(LAST, LAST, sources=Sources.CRITICAL)
    world.script = lambda job: replace(world.well(job), seconds=60.0)
    receipt = world.enqueue(FIRST, LAST - DAY)
    while world.step():
        assert status(world, receipt)[0] != "stuck"
    assert taken(world) == [days(1, 11)]


def test_where_that_date_waits_for_the_others_the_month_is_taken_without_it(make):
    # Given a date that goes without the source, and waits for the others before it enters the next state
    world = make(of=sources(phase("derived", processor("zones"), order="sequential", lookback=1)))
    world.enqueue(LAST, LAST, sources=Sources.CRITICAL)
    receipt = world.enqueue(FIRST, LAST - DAY)
    # When it has nothing more to do for that source, then one attempt takes the others, and all end
    world.run()
    assert taken(world) == [days(1, 11)]
    assert world.status(receipt) == "finished"
    assert not world.live()


@pytest.mark.parametrize("keys", [{"priority": "fallback"}, {"no_data": "trust", "fallbacks": ["box"]}])
def test_a_month_is_taken_without_a_date_that_goes_without_it_and_waits_for_a_later_month(make, keys):
    statement = processor("statement", command=RANGE, period="month", **keys)
    totals = processor("totals", command=RANGE, period="month", after=["statement"])
    world = make(of=pipeline(phase("raw", processor("box"), statement, totals)))
    world.warehouse.closed["statement", LAST] = success(world.time)
    world.enqueue(LAST, LAST, sources=Sources.CRITICAL)
    world.enqueue(FIRST, LAST - DAY)
    world.run()
    assert (taken(world), taken(world, "totals")) == ([days(1, 11)], [days(1, 12)])
    assert not world.live()


def test_dates_whose_attempt_was_cancelled_keep_the_month_back(make):
    world = make()
    first = world.enqueue(FIRST, LAST)
    while not taken(world):
        assert world.step()
        world.settle()
    world.commands.cancel(first.id, by=ME)
    world.run()
    # When a part of the month is enqueued again, then the rest of it is named, and no job takes the part
    receipt = world.enqueue(FIRST, FIRST + 4 * DAY)
    world.run()
    assert taken(world) == [days(1, 12)]
    remedy = f"2021-11-06 failed: backfill {first.id} was cancelled; backfilld retry 2021-11-06"
    name, stuck_on = status(world, receipt)
    assert name == "stuck"
    assert stuck_on.startswith(f"the other dates of November 2021 for statement: {remedy}")
    world.enqueue(FIRST + 5 * DAY, LAST)
    world.run()
    assert taken(world) == [days(1, 12)] * 2


def test_only_what_is_wrong_is_run_again_and_a_date_without_attempts_left_keeps_nothing_back(make):
    world = make(command=LIST, expect={"rows": [1, 1]}, jobs={"max_attempts": 3})

    def script(job):
        covered = [dt.date.fromisoformat(date) for date in job.env["BACKFILLD_DATES"].split(",")]
        name = job.env["BACKFILLD_PROCESSOR"]
        bad = (
            {FIRST: 9, FIRST + DAY: 0} if name == "statement" else {}
        )  # excess is run once, a failure thrice
        return Work(
            effect=lambda: [world.fill(name, date, bad.get(date, 1)) for date in covered] and None, code=0
        )

    world.script = script
    world.enqueue(FIRST, LAST)
    world.run()
    assert taken(world) == [days(1, 12), [2]]
    assert [world.dates()[date].state for date in CALENDAR] == ["failed", "failed", *["done"] * 10]


def test_a_month_that_is_not_over_waits_for_its_end(make):
    world = make()
    world.time = dt.datetime(2021, 11, 13, 12, tzinfo=dt.UTC).timestamp()
    world.start()
    receipt = world.enqueue(FIRST, LAST)
    while any(row.waiting != "period" for row in world.live()):
        assert world.step()
        world.settle()
    text = "the end of November 2021: the calendar may still expect 2021-11-30"
    assert waits(world, FIRST) == text
    assert status(world, receipt)[0] == "active"
    world.run()
    assert world.time >= dt.datetime(2021, 12, 1, tzinfo=dt.UTC).timestamp()
    assert taken(world) == [days(1, 12)]


def test_only_the_days_on_which_it_has_output_belong_to_its_period(make):
    # Given a processor that has output on each Monday from the 8th on
    world = make(
        of=pipeline(
            phase("raw", processor("box", writers=3)),
            phase(
                "derived",
                processor("statement", command=RANGE, period="month", days="mondays", since=FIRST + 7 * DAY),
            ),
            calendar={"file": "calendar.csv", "days": [{"name": "mondays", "weekdays": ["mon"]}]},
        ),
        calendar={FIRST + DAY * n: 5 for n in range(30)},
    )
    world.enqueue(FIRST, FIRST + 29 * DAY)
    world.run()
    assert taken(world) == [[8, 15, 22, 29]]


def test_a_step_of_a_sequential_phase_may_have_a_period(make):
    steps = (processor("zones"), processor("statement", command=RANGE, period="week"), processor("cache"))
    raw = phase("raw", processor("box", writers=3))
    world = make(of=pipeline(raw, phase("strict", *steps, order="sequential")))
    receipt = world.enqueue(FIRST, LAST)
    world.run()
    assert taken(world) == [days(1, 7), days(8, 12)]
    assert world.ended(receipt)[1] == {"complete": 12}


def test_a_paused_backfill_and_a_forced_date(make):
    world = make()
    first = world.enqueue(FIRST, FIRST + 3 * DAY)
    world.commands.pause(first.id, by=ME)
    other = world.enqueue(FIRST + 4 * DAY, LAST)
    world.run()
    assert taken(world) == []
    assert status(world, other)[0] == "stuck"
    assert f"{FIRST}" in status(world, other)[1]
    world.commands.resume(first.id, by=ME)
    world.run()
    assert taken(world) == [days(1, 12)]
    # And force rewrites the dates that it names, not their month
    world.enqueue(FIRST, FIRST + DAY, force=True)
    world.run()
    assert taken(world)[1:] == [[1, 2]]


def test_a_batch_that_fails_is_tried_again_together(make):
    world = make()
    fails(world, "statement", times=2, code=1)
    world.enqueue(FIRST, LAST)
    world.run()
    assert taken(world) == [days(1, 12)] * 3


def test_an_attempt_that_starts_before_its_period_is_ready_is_found_in_a_random_world(monkeypatch):
    simulator, scenario = Simulator(harder.generate), harder.generate(0)
    assert simulator.simulate(scenario)[1] is None
    rule = periods.period_status
    monkeypatch.setattr(periods, "period_status", lambda *args: replace(rule(*args), waits_for=()))
    error = simulator.simulate(scenario)[1]
    assert isinstance(error, Violation)
    assert error.rule == "a period is whole"


def test_the_second_range_of_a_week_waits_for_the_next_quota_day():
    sim, error = Simulator().simulate(directed.two_ranges_of_a_week_and_one_attempt_a_day())
    assert error is None
    first, second, *_ = (job for job in sim.launches if job.processor == "totals")
    assert (first.dates, second.dates) == ([directed.OPENER], [directed.OPENER + 2 * DAY])
    assert second.started - first.started > 3600


def test_a_range_that_starts_before_the_rest_of_its_week_is_ready_is_found(monkeypatch):
    rule = periods.period_status
    monkeypatch.setattr(periods, "period_status", lambda *args: replace(rule(*args), waits_for=()))
    _, error = Simulator().simulate(directed.two_ranges_of_a_week_and_one_attempt_a_day())
    assert isinstance(error, Violation)
    assert error.rule == "a period is whole"
