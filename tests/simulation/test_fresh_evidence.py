"""No job starts on old evidence, and no setting makes all evidence old."""

import pytest

from backfilld.state.pipeline.loading import PipelineError
from tests.simulation.fakes import Work
from tests.simulation.one_table import (
    DATES,
    FIRST,
    ended,
    ran,
    shape,
)


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
