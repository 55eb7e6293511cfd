"""What ends a date and what starts a job: evidence and attempts of today's request and today's tables."""

import datetime as dt
import itertools

import pytest

from backfilld.daemon.reports.waiting import waiting_on
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.verdict import HistoryRun
from backfilld.state.store import attempts, transitions
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.world import ME, World

FIRST = dt.date(2021, 10, 19)
DATES = [FIRST + dt.timedelta(days=n) for n in range(4)]
BACKOFF, CONFIRM = 30.0, 60.0


def shape(*phases, table="nba.box", **keys):
    return pipeline(*(phases or [phase("raw", processor("box", table=table))]), **keys)


@pytest.fixture
def worlds(tmp_path):
    opened = []

    def open_world(made=None):
        opened.append(World(made or shape(), dict.fromkeys(DATES, 2), tmp_path))
        return opened[-1]

    yield open_world
    for world in opened:
        world.db.close()


def success(at: float) -> HistoryRun:
    return HistoryRun(succeeded=True, started_at=at - 60, ended_at=at)


def writes_nothing(job) -> Work:
    return Work(code=0)


def ran(world: World, date: dt.date = FIRST) -> list[str]:
    return [f"{name} {result}" for name, result in world.attempts(date)]


def ended(world: World, date: dt.date = FIRST) -> tuple[str, str]:
    row = world.dates()[date]
    return row.state, row.outcome


def waits(world: World, date: dt.date = FIRST) -> str:
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]])[date]


def until_failed(world: World) -> None:
    """Go on until the first date has failed; others may be live."""
    world.settle()
    while world.dates()[FIRST].state != "failed":
        assert world.step()
        world.settle()


# --- T1: what is missing runs at once


def test_deleted_partitions_of_done_dates_run_at_once_by_the_next_request(worlds):
    world = worlds()
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    for date in DATES:
        world.fill("box", date, rows=0)
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert [ran(world, date) for date in DATES] == [["box exited 0"] * 2] * 4


def test_attempts_of_an_earlier_request_that_left_nothing_do_not_shorten_a_new_one(worlds):
    world = worlds()
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ended(world) == ("failed", "blocked")
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ended(world) == ("failed", "blocked")
    assert ran(world) == ["box exited 0"] * 4


# --- T2: an attempt counts for the table that it was started for


def test_a_table_that_was_changed_in_the_file_is_filled_whatever_its_predecessor_had(worlds):
    world = worlds()
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    world.warehouse.rows.clear()
    world.pipeline = shape(table="nba.box_v2")
    world.start()
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    assert [ended(world, date) for date in DATES] == [("done", "complete")] * 4
    assert [len(ran(world, date)) for date in DATES] == [2] * 4


def test_an_attempt_that_ends_after_its_table_was_changed_neither_counts_nor_explains(worlds):
    world = worlds()
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.settle()
    # When the file names another table while the job runs
    world.pipeline = shape(table="nba.box_v2")
    world.start()
    world.step()
    world.settle()
    # Then the next attempt starts without a backoff, and two more find nothing before the date fails
    world.run()
    assert ran(world) == ["box exited 0"] * 3
    assert ended(world) == ("failed", "blocked")


def test_a_failure_in_the_old_table_leaves_all_attempts_to_the_new_one(worlds):
    world = worlds(shape(jobs={"max_attempts": 2}))
    world.script = lambda job: Work(code=1)
    world.enqueue(FIRST, FIRST)
    world.step()
    world.settle()
    world.pipeline = shape(table="nba.box_v2", jobs={"max_attempts": 2})
    world.start()
    world.run()
    assert ran(world) == ["box exited 1"] * 3


def test_a_live_date_does_not_pass_by_what_another_table_had(worlds):
    # Given a date whose second phase runs, by a first phase that was complete
    def two(table):
        return shape(phase("raw", processor("box", table=table)), phase("made", processor("team")))

    world = worlds(two("nba.box"))
    world.fill("box", FIRST)
    world.enqueue(FIRST, FIRST)
    world.settle()
    assert world.dates()[FIRST].state == "made"
    # When the first phase writes another table, which is empty
    world.warehouse.rows.clear()
    world.pipeline = two("nba.box_v2")
    world.start()
    world.run()
    # Then it is filled before the date is done
    assert "box exited 0" in ran(world)
    assert ended(world) == ("done", "complete")


# --- T3: the history explains, and ends nothing


@pytest.mark.parametrize("priority", ["critical", "important", "fallback"])
def test_a_success_in_the_history_without_rows_is_tried(worlds, priority):
    world = worlds(shape(phase("raw", processor("box", priority=priority))))
    world.warehouse.closed["box", FIRST] = success(world.time)
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 0"]
    assert ended(world) == ("done", "complete")


def test_a_success_in_the_history_is_enough_where_the_file_trusts_it(worlds):
    world = worlds(shape(phase("raw", processor("box", no_data="trust"))))
    world.warehouse.closed["box", FIRST] = success(world.time)
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == []
    assert ended(world) == ("failed", "blocked")
    # But a retry is an order to try
    world.commands.retry_date(FIRST, by=ME)
    world.run()
    assert ran(world) == ["box exited 0"]


def test_a_complete_fallback_replaces_a_source_only_after_its_attempts(worlds):
    world = worlds(shape(phase("raw", processor("box", fallbacks=["spare"]), processor("spare"))))
    world.fill("spare", FIRST)
    world.warehouse.closed["box", FIRST] = success(world.time)
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 0"] * 2
    assert ended(world) == ("done", "complete")


# --- T4: two attempts, with backoff between


def test_a_job_that_writes_nothing_at_first_is_tried_again_after_its_backoff(worlds):
    world, started = worlds(), []

    def script(job):
        started.append(world.time)
        return Work(effect=lambda: world.fill("box", FIRST, rows=len(started) - 1))

    world.script = script
    world.enqueue(FIRST, FIRST)
    world.settle()
    world.step()
    world.settle()
    assert "box: no rows after attempt 1 of 2, tried again at 20" in waits(world)
    world.run()
    assert ended(world) == ("done", "complete")
    assert started[1] - started[0] >= 0.75 * BACKOFF


@pytest.mark.parametrize(("attempts", "most", "runs"), [(1, 3, 1), (3, 3, 3), (5, 2, 2), (2, 1, 1)])
def test_a_date_is_without_data_after_its_attempts_and_max_attempts_bounds_them(worlds, attempts, most, runs):
    world = worlds(shape(jobs={"no_data_attempts": attempts, "max_attempts": most}))
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 0"] * runs
    assert ended(world) == ("failed", "blocked")


def test_an_attempt_that_failed_is_no_proof_that_there_is_no_data(worlds):
    world, codes = worlds(), iter((1, 0, 0, 0))
    world.script = lambda job: Work(code=next(codes))
    world.enqueue(FIRST, FIRST)
    world.run()
    assert ran(world) == ["box exited 1", "box exited 0", "box exited 0"]
    assert ended(world) == ("failed", "blocked")


# --- T5: late rows, late words of the history, and recovery


def until_the_last_attempt_has_ended(world: World) -> None:
    while len(ran(world)) < 2 or world.executor.alive:
        assert world.step()
        world.settle()


def test_rows_that_show_after_the_last_attempt_complete_the_date_without_a_third(worlds):
    world = worlds()
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    until_the_last_attempt_has_ended(world)
    assert "box: no rows after attempt 2 of 2, queried once more 60 s after it, at 20" in waits(world)
    world.time += 20
    world.fill("box", FIRST)
    world.run()
    assert ran(world) == ["box exited 0"] * 2
    assert ended(world) == ("done", "complete")


def test_a_failed_row_of_the_history_that_shows_late_lets_the_job_run_again(worlds):
    world = worlds()
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    until_the_last_attempt_has_ended(world)
    world.warehouse.closed["box", FIRST] = HistoryRun(
        succeeded=False, started_at=world.time, ended_at=world.time + 1, detail="quota"
    )
    world.script = world.well
    world.run()
    assert ran(world) == ["box exited 0"] * 3
    assert ended(world) == ("done", "complete")


def test_the_rest_of_the_rows_may_show_after_the_last_attempt(worlds):
    world = worlds(shape(phase("raw", processor("box", max_attempts=1, expect={"rows": [4]}))))
    world.script = lambda job: Work(effect=lambda: world.fill("box", FIRST, rows=1))
    world.enqueue(FIRST, FIRST)
    world.step()
    world.settle()
    assert "box: partial: 1 of at least 4 rows after attempt 1 of 1, queried once more 60 s" in waits(world)
    world.fill("box", FIRST, rows=4)
    world.run()
    assert ended(world) == ("done", "complete")


def test_a_date_does_not_fail_before_the_confirming_query(worlds):
    world = worlds()
    world.script = writes_nothing
    world.enqueue(FIRST, FIRST)
    world.run()
    with world.db.read() as tx:
        failed_at = transitions.history(tx, FIRST)[-1].at
    last_end = max(event.ended_at for event in world.executor.ended.values())
    assert failed_at >= last_end + CONFIRM


def lookback_world(worlds) -> World:
    """A date that fails while a later one waits for it, so that its backfill stays active."""
    world = worlds(
        shape(phase("raw", processor("box")), phase("zones", processor("zone"), order="sequential"))
    )
    silent = {"box": FIRST}

    def script(job):
        name, date = job.env["BACKFILLD_PROCESSOR"], dt.date.fromisoformat(job.env["BACKFILLD_DATE"])
        return Work() if silent.get(name) == date else world.well(job)

    world.script = script
    world.enqueue(DATES[0], DATES[1])
    until_failed(world)
    return world


def test_a_failed_date_goes_on_by_itself_once_its_missing_output_has_appeared(worlds):
    world = lookback_world(worlds)
    world.run()
    assert waits(world, DATES[1]).startswith(f"blocked by {FIRST}, which failed")
    # When the rows appear, and failed dates are queried again
    world.fill("box", FIRST)
    world.time += world.pipeline.engine.recheck_interval
    world.engine.recheck_failed()
    world.run()
    # Then both dates end, and nothing that was complete ran again
    assert [ended(world, date) for date in DATES[:2]] == [("done", "complete")] * 2
    assert ran(world) == ["box exited 0"] * 2 + ["zone exited 0"]
    with world.db.read() as tx:
        recovered = [(move.trigger, move.reason) for move in transitions.history(tx, FIRST)]
    assert ("recover", "box appeared") in recovered


def test_a_failed_date_whose_output_stays_missing_is_queried_ever_less_often_and_never_restarts(worlds):
    world = lookback_world(worlds)
    world.run()
    queried = []
    for minute in range(6 * 60):
        before = world.warehouse.questions
        world.engine.recheck_failed()
        world.settle()
        if world.warehouse.questions > before:
            queried.append(minute)
        world.time += 60
    pauses = [later - earlier for earlier, later in itertools.pairwise(queried)]
    assert pauses[:3] == [5, 10, 20]
    assert set(pauses[4:]) == {60}
    assert ended(world) == ("failed", "blocked")
    assert ran(world) == ["box exited 0"] * 2


def test_a_date_that_lacks_a_second_output_does_not_recover_by_the_first(worlds):
    world = worlds(
        shape(
            phase("raw", processor("box"), processor("plays")),
            phase("zones", processor("zone"), order="sequential"),
        )
    )
    world.script = lambda job: Work(code=0 if job.env["BACKFILLD_DATE"] == str(FIRST) else 1)
    for name in ("box", "plays"):
        world.fill(name, DATES[1])
    world.enqueue(DATES[0], DATES[1])
    world.run()
    assert ended(world) == ("failed", "blocked")
    world.fill("box", FIRST)
    world.time += world.pipeline.engine.recheck_interval
    world.engine.recheck_failed()
    world.run()
    assert ended(world) == ("failed", "blocked")


def test_a_cancelled_date_does_not_recover(worlds):
    world = worlds()
    world.script = writes_nothing
    receipt = world.enqueue(DATES[0], DATES[1])
    world.settle()
    world.commands.cancel(receipt.id, by=ME)
    world.run()
    world.fill("box", FIRST)
    world.time += 3600
    world.engine.recheck_failed()
    world.run()
    assert ended(world) == ("failed", "cancelled")


# --- T9: durations with which nothing would move


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


# --- T12: nothing that is complete runs again


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


# --- T13: an executor that left the pipeline file


def without_its_executor(worlds) -> tuple[World, int]:
    """A running attempt whose executor the file no longer has, and its backfill."""
    dask = {"dask": {"scheduler": "tcp://127.0.0.1:1"}}
    world = worlds(shape(phase("raw", processor("box", executor="dask")), executor=dask))
    world.engine.launcher._executors = {"dask": world.executor}
    world.script = lambda job: Work(seconds=10**6)
    backfill = world.enqueue(FIRST, FIRST).id
    world.settle()
    world.pipeline = shape()
    world.start()
    world.settle()
    return world, backfill


def test_an_attempt_without_its_executor_is_named_and_given_up_at_its_limits(worlds):
    world, _ = without_its_executor(worlds)
    sentence = waits(world)
    assert "attempt 1 of box: no executor supervises it: restore [executor.dask]" in sentence
    assert "given up at 20" in sentence
    limits = world.pipeline.jobs.timeout + world.pipeline.jobs.grace_period
    world.time += limits - 1
    world.settle()
    assert ran(world) == ["box running"]
    world.time += 1
    world.script = world.well
    world.settle()
    assert ran(world)[0] == "box lost"
    world.run()
    assert ended(world) == ("done", "complete")


def test_a_cancel_reaches_an_attempt_without_its_executor_at_once(worlds):
    world, backfill = without_its_executor(worlds)
    world.commands.cancel(backfill, by=ME)
    world.settle()
    assert ran(world) == ["box lost"]
    assert ended(world) == ("failed", "cancelled")
    with world.db.read() as tx:
        (attempt,) = attempts.for_date(tx, FIRST)
    assert attempt.detail == "lost: [executor.dask] left the pipeline file; its job may still run"


def test_an_attempt_whose_executor_is_restored_in_time_is_adopted(worlds):
    world, _ = without_its_executor(worlds)
    world.engine.attempt_monitor._executors = {"dask": world.executor}
    world.executor.alive[1].ends, world.executor.alive[1].effect = (
        world.time,
        lambda: world.fill("box", FIRST),
    )
    world.settle()
    world.settle()  # adopted by the first tick, ended by the second
    assert ran(world) == ["box exited 0"]
    assert ended(world) == ("done", "complete")
