"""No job starts on old evidence, and no setting makes all evidence old."""

import datetime as dt

import pytest

from backfilld.daemon.engine.daily_budgets import BytesLedger
from backfilld.daemon.warehouses.billing_budget import DailyBudget
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.records import Mark
from backfilld.state.store import runnable_jobs
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.fakes import Work
from tests.simulation.one_table import (
    DATES,
    FIRST,
    ended,
    ran,
    shape,
    waits,
)
from tests.simulation.world import ME


@pytest.mark.parametrize(
    ("tables", "problem"),
    [
        ({"engine": {"max_evidence_age": "0s"}}, "engine.max_evidence_age: .*; write 10s or more"),
        ({"engine": {"max_evidence_age": "9s"}}, "engine.max_evidence_age: .*; write 10s or more"),
        ({"engine": {"recheck_interval": "0s"}}, "engine.recheck_interval: .*; write 1s or more"),
        ({"engine": {"revalidate_within": "1s"}}, "engine.revalidate_within: .*; write 1m or more"),
        ({"jobs": {"backoff": "0s"}}, r"jobs\.backoff: .*; write 1s or more"),
        ({"jobs": {"no_data_attempts": 0}}, "jobs.no_data_attempts: .* 1"),
        ({"jobs": {"no_data": "hope"}}, "jobs.no_data: .*'try' or 'trust'"),
    ],
)
def test_a_duration_that_would_stop_or_flood_the_engine_is_refused_with_its_key(tables, problem):
    with pytest.raises(PipelineError, match=problem):
        shape(**tables)


def test_the_shortest_durations_are_taken():
    made = shape(
        engine={"max_evidence_age": "10s", "revalidate_within": "0s", "batch_window": "0s"},
        jobs={"confirm_after": "0s", "backoff": "1s"},
    )
    assert made.engine.max_evidence_age == 10.0


def test_with_the_shortest_evidence_age_every_job_starts_and_queries_stay_few(worlds):
    world = worlds(shape(engine={"max_evidence_age": "10s"}))
    world.enqueue(DATES[0], DATES[-1])
    world.run(limit=200)
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert world.warehouse.questions <= 12


def test_a_query_that_takes_longer_than_the_evidence_may_be_old_does_not_keep_jobs_back(worlds):
    world = worlds(shape(engine={"max_evidence_age": "10s"}))

    def pass_time(point):
        world.time += 10

    world.warehouse.point = pass_time
    world.enqueue(DATES[0], DATES[-1])
    world.run(limit=200)
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert [len(ran(world, date)) for date in DATES] == [1] * 4


def test_rows_that_arrive_while_dates_wait_for_a_slot_are_not_written_again(worlds):
    # Given one job of an hour, behind which three dates wait for the writer of its table
    world = worlds(shape(jobs={"timeout": "2h", "idle_timeout": "2h"}))
    world.script = lambda job: Work(seconds=3600, effect=lambda: world.fill("box", FIRST))
    world.enqueue(DATES[0], DATES[-1])
    world.settle()
    # When an external run writes them meanwhile
    for date in DATES[1:]:
        world.fill("box", date)
    world.run()
    # Then none of them runs
    assert [ran(world, date) for date in DATES] == [["box exited 0"], [], [], []]
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4


def test_rows_that_arrive_while_the_daemon_is_down_are_not_written_again(worlds):
    # Given dates that wait for a writer when the daemon stops, with evidence of seconds ago
    world = worlds()
    world.enqueue(DATES[0], DATES[-1])
    world.settle()
    assert len(world.executor.alive) == 1
    # When what they lack is restored, and the daemon starts a second later
    for date in DATES[1:]:
        world.fill("box", date)
    world.time += 1
    world.start()
    world.run()
    # Then nothing but the job that was running has run
    assert len(world.executor.launched) == 1
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4


def test_a_clock_set_back_does_not_keep_jobs_from_starting(worlds):
    world = worlds()
    world.engine.launcher.restart_evidence()
    world.time -= 3600
    world.engine.recover()
    world.enqueue(FIRST, FIRST)
    world.run(limit=50)
    assert ended(world) == ("done", "complete")


def chain(**keys):
    """Two sources, a summary and an export: each job of an hour."""
    return pipeline(
        phase("raw", processor("box"), processor("plays")),
        phase("mid", processor("team"), processor("player", after=["team"])),
        phase("last", processor("export"), order="sequential"),
        engine={"max_evidence_age": "10s"},
        **keys,
    )


def names_run(world, date=FIRST):
    return [name for name, _ in world.attempts(date)]


@pytest.mark.parametrize(
    ("held", "lost", "again", "restarts"),
    [
        ("team", "box", ["box", "plays", "box", "team", "player", "export"], False),
        ("team", "plays", ["box", "plays", "plays", "team", "player", "export"], True),
        ("player", "team", ["box", "plays", "team", "team", "player", "export"], False),
        ("export", "plays", ["box", "plays", "team", "player", "plays", "export"], False),
    ],
)
def test_no_job_starts_on_an_input_of_its_date_that_vanished_while_it_waited(
    worlds, held, lost, again, restarts
):
    # Given a date that waits for a hold
    world = worlds(chain())
    world.commands.hold("processor", held, by=ME, reason="being repaired")
    world.enqueue(FIRST, FIRST)
    world.run()
    # When an output that it has passed is lost, and the hold ends a minute later or after a restart
    world.fill(lost, FIRST, rows=0)
    world.time += 1 if restarts else 60
    if restarts:
        world.start()
    world.commands.release("processor", held, by=ME)
    world.run()
    # Then that output is filled before the job starts
    assert names_run(world) == again
    assert ended(world) == ("done", "complete")


def test_a_pause_lets_no_job_start_on_an_input_that_vanished(worlds):
    world = worlds(chain())
    world.script = lambda job: Work(seconds=60, effect=world.well(job).effect)
    world.enqueue(FIRST, FIRST)
    while "team" not in names_run(world):
        world.step()
        world.settle()
    world.commands.pause_everything(by=ME, reason="maintenance")
    world.run(limit=20)
    world.fill("box", FIRST, rows=0)
    world.time += 60
    world.commands.resume_everything(by=ME)
    world.run()
    assert names_run(world) == ["box", "plays", "team", "box", "player", "export"]


def test_an_input_that_was_accepted_is_not_queried_before_each_job(worlds):
    world = worlds(chain())
    world.commands.accept(FIRST, "plays", by=ME, reason="never measured")
    world.commands.hold("processor", "export", by=ME, reason="being repaired")
    world.enqueue(FIRST, FIRST)
    world.run()
    world.time += 60
    world.commands.release("processor", "export", by=ME)
    world.run()
    assert ended(world) == ("done", "waived")


def test_inputs_are_queried_together_for_the_dates_that_start_before_the_answer_is_old(worlds):
    # Given four dates that wait for a sequential phase whose jobs take a second
    world = worlds(chain())
    world.commands.hold("processor", "export", by=ME, reason="being repaired")
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    asked = world.warehouse.questions
    world.time += 60
    world.commands.release("processor", "export", by=ME)
    world.run()
    # Then one query is about the first, and a second one about all others
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert world.warehouse.questions - asked <= 2 + len(DATES)


def test_inputs_of_a_period_are_queried_together_where_a_daily_budget_pays_for_one_query(worlds):
    # Given a weekly output whose dates become ready on different days, as each query spends the budget
    statement = processor("statement", command=["true", "{start}", "{end}"], period="week")
    raw, derived = phase("raw", processor("box")), phase("derived", statement)
    world = worlds(pipeline(raw, derived, engine={"max_evidence_age": "10s"}))
    world.warehouse.budget = DailyBudget(10, BytesLedger(world.db), world.clock, "America/Los_Angeles")
    # When the week is run
    world.enqueue(DATES[0], DATES[-1])
    world.run(limit=60)
    # Then its evidence is recent for all dates at once, and one attempt takes them
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched] == ["box"] * 4 + ["statement"]


def test_no_job_starts_on_an_input_of_its_date_that_vanished_while_another_job_of_that_state_ran(worlds):
    # Given two outputs of a state, one of which takes an hour
    world = worlds(chain())
    hour = 3600.0
    world.script = lambda job: Work(
        seconds=hour if job.env["BACKFILLD_PROCESSOR"] == "plays" else 1, effect=world.well(job).effect
    )
    world.enqueue(FIRST, FIRST)
    while world.warehouse.rows.get(("box", FIRST)) is None:
        world.step()
    # When the other one is lost meanwhile
    world.fill("box", FIRST, rows=0)
    world.run()
    # Then it is filled again before what is computed from both
    assert names_run(world) == ["box", "plays", "box", "team", "player", "export"]
    assert ended(world) == ("done", "complete")


def balances(**keys):
    """A balance that is computed from that of the day before."""
    return pipeline(
        phase("raw", processor("events")), phase("ledger", processor("balance", depends_on_past=True)), **keys
    )


def test_no_job_starts_on_an_input_of_the_day_before_that_vanished_after_it_was_done(worlds):
    # Given dates that are done
    world = worlds(balances())
    world.enqueue(DATES[0], DATES[1])
    world.run()
    # When the latest balance is lost, and later dates are enqueued an hour later
    world.fill("balance", DATES[1], rows=0)
    world.time += 3600
    world.enqueue(DATES[2], DATES[3])
    world.run()
    # Then they wait for it by name
    assert "balance" not in names_run(world, DATES[2])
    assert waits(world, DATES[2]).startswith(f"blocked by {DATES[1]}, which is done, but balance is no_data")
    # Until it is filled
    assert retry_marked(world.commands, Mark.REGRESSED, DATES[0], DATES[-1]) == [DATES[1]]
    world.run()
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4


def test_inputs_of_a_long_window_are_queried_again_as_far_back_as_a_month(worlds):
    # Given two inputs of a window of 90 days that were lost after they were done
    derived = phase("derived", processor("mean"), lookback=90)
    world = worlds(pipeline(phase("raw", processor("box", since=FIRST)), derived, calendar={}))
    days = [FIRST + dt.timedelta(days=n) for n in range(40)]
    world.enqueue(days[0], days[-2])
    world.run(limit=2000)
    for lost in (days[0], days[-2]):
        world.fill("box", lost, rows=0)
    world.time += 3600
    # When the day after is enqueued
    world.enqueue(days[-1], days[-1])
    world.run()
    # Then it waits for the one of the month before; revalidation looks for the other one
    assert waits(world, days[-1]).startswith(f"blocked by {days[-2]}, which is done, but box is no_data")
    assert not world.dates()[days[0]].regressed


def test_what_lies_between_jobs_that_are_years_apart_is_not_read_before_they_start(worlds, monkeypatch):
    # Given jobs with inputs of earlier dates, which start in two seasons at the same time
    phases = (
        phase("raw", processor("box", since=FIRST)),
        phase("derived", processor("mean", writers=2), lookback=1),
    )
    world = worlds(pipeline(*phases, calendar={}))
    far = [date.replace(year=date.year + 9) for date in DATES]
    for first, last in ((DATES[0], DATES[-1]), (far[0], far[-1])):
        world.enqueue(first, last, selection=("box",))
        world.run()
    spans = []
    complete_between = runnable_jobs.complete_between

    def recorded(tx, processors, first, last, before):
        spans.append((first, last))
        return complete_between(tx, processors, first, last, before)

    monkeypatch.setattr(runnable_jobs, "complete_between", recorded)
    # When they start
    world.time += 3600
    world.enqueue(DATES[1], DATES[1], selection=("mean",))
    world.enqueue(far[1], far[1], selection=("mean",))
    world.run()
    # Then only the dates around each were read
    assert {first.year for first, _ in spans} == {DATES[0].year, far[0].year}
    assert max(last - first for first, last in spans) < dt.timedelta(days=31)
