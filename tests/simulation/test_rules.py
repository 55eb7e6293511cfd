"""The rules of movement, at work: the real engine and store in a simulated world."""

import datetime as dt
import itertools
from collections import Counter

import pytest

from backfilld.daemon.event_types import AttemptEnded, Incident
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.store import checks, transitions
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import ANSWER_SENT, Work
from tests.simulation.season import DAY, OPENER, SEASON, fails, shape
from tests.simulation.world import World


@pytest.fixture
def world(tmp_path, state_url):
    found = World(shape(), SEASON, tmp_path, url=state_url)
    yield found
    found.db.close()


def test_a_range_goes_from_request_to_done(world):
    world.enqueue(dt.date(2021, 10, 15), DAY)
    world.run()
    outcomes = Counter((row.state, row.outcome) for row in world.dates().values())
    assert outcomes == {("done", "not_expected"): 4, ("done", "bootstrap"): 7, ("done", "complete"): 1}
    assert world.path(DAY) == ["pending", "phase2", "phase3", "phase4-step-1", "phase4-step-2", "done"]
    assert world.path(OPENER) == ["pending", "phase2", "phase3", "done"]


def test_a_complete_range_starts_no_job_and_asks_at_most_three_times(world):
    for name, date in itertools.product(world.pipeline.processors, SEASON):
        world.fill(name, date)
    world.enqueue(min(SEASON), max(SEASON))
    world.run()
    assert not world.executor.launched
    assert world.warehouse.questions <= 2, "the calendar and all evidence; history belongs to the evidence"
    assert not world.live()


def test_a_complete_date_is_answered_with_its_proof_and_a_damaged_one_runs_what_is_missing(world):
    world.enqueue(OPENER, DAY)
    world.run()
    before = len(world.executor.launched)
    world.fill("cache", DAY, rows=0)
    receipt = world.enqueue(OPENER, DAY)
    world.run()
    assert receipt.outcomes == {"already_done": 7, "enqueued": 1}
    assert receipt.details[-1].reason == "was done, but: cache no_data"
    assert [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched[before:]] == ["cache"]
    assert world.dates()[DAY].outcome == "complete"


def test_what_is_measured_against_an_output_is_judged_anew_when_that_was_run(tmp_path):
    # Given a table that has enough rows for the half of its reference that is there
    ratio = {"ratio": {"of": "box", "min": 0.5}}
    phases = (
        phase("phase2", processor("box", expect={"rows": [4, 6]})),
        phase("phase3", processor("team", expect=ratio)),
    )
    world = World(pipeline(*phases), SEASON, tmp_path)
    world.fill("box", DAY, rows=2)
    world.fill("team", DAY, rows=1)
    # When the reference is run, and the table after it
    world.script = lambda job: Work(effect=lambda: world.fill(job.env["BACKFILLD_PROCESSOR"], DAY, rows=4))
    world.enqueue(DAY, DAY)
    world.run()
    # Then the old verdict let nothing pass
    assert world.attempts(DAY) == [("box", "exited 0"), ("team", "exited 0")]


def test_a_job_whose_file_of_dates_cannot_be_written_uses_up_its_attempts(tmp_path):
    # Given a job that reads its dates from a file, and no directory for it
    filed = processor("box", command=["load", "{dates_file}"])
    world = World(pipeline(phase("phase2", filed)), SEASON, tmp_path)
    (tmp_path / "dates").write_text("in the way")
    # When it is to run
    world.enqueue(DAY, DAY)
    world.run(limit=100)
    # Then it is tried as often as any other, after its backoff, and says what is wrong
    assert world.attempts(DAY) == [("box", "lost")] * 3
    assert not world.executor.launched
    row = world.dates()[DAY]
    assert row.outcome == "exhausted"
    assert "its file of dates cannot be written: File exists" in row.reason


def test_exit_0_without_rows_is_no_data_and_blocks_after_two_attempts(world):
    fails(world, "team")
    world.enqueue(DAY, DAY)
    world.run()
    row = world.dates()[DAY]
    assert (row.state, row.outcome) == ("failed", "blocked")
    assert "team: no data: the latest run succeeded" in row.reason
    assert world.attempts(DAY).count(("team", "exited 0")) == 2


def test_exit_1_with_all_rows_is_complete(world):
    fails(world, "team", code=1, effect=lambda: world.fill("team", DAY))
    for date in SEASON:
        world.fill("team", date)
        world.fill("player", date)
    world.fill("team", DAY, 0)
    world.enqueue(DAY, DAY)
    world.run()
    assert ("team", "exited 1") in world.attempts(DAY)
    assert world.dates()[DAY].outcome == "complete"


def test_a_failing_job_is_retried_with_growing_pauses_and_then_the_date_fails(world):
    fails(world, "box", code=1)
    world.enqueue(OPENER, OPENER)
    world.run()
    assert world.dates()[OPENER].outcome == "exhausted"
    starts = [e for e in world.events if isinstance(e, AttemptEnded) and e.processor == "box"]
    assert len(starts) == 3


def test_a_job_that_cannot_start_uses_up_its_attempts_with_growing_pauses(world):
    fails(world, "box", starts=False)
    begun = world.time
    world.enqueue(OPENER, OPENER)
    world.run()
    assert world.dates()[OPENER].outcome == "exhausted"
    assert world.attempts(OPENER).count(("box", "lost")) == 3
    assert world.time - begun > 0.75 * (10 + 20), "the first two failures were waited out"


def test_phase_4_is_sequential_over_all_dates_and_within_each(world):
    running, seen = [], []

    def script(job):
        name, date = job.env["BACKFILLD_PROCESSOR"], dt.date.fromisoformat(job.env["BACKFILLD_DATE"])
        if name in ("zones", "cache"):
            assert not running, f"{name} of {date} starts while {running} runs"
            running.append((name, date))
            seen.append((name, date))
            assert name == "zones" or ("zones", date) in world.warehouse.rows
            assert all(("player", d) in world.warehouse.rows for d in SEASON if d < date)

        def effect():
            world.fill(name, date)
            if (name, date) in running:
                running.remove((name, date))

        return Work(seconds=world.rng.uniform(1, 500), effect=effect)

    world.script = script
    world.enqueue(min(SEASON), max(SEASON))
    world.run()
    assert not world.live()
    assert len(seen) == 2 * (len(SEASON) - 7)


def test_an_outage_makes_dates_wait_with_the_reason_and_all_end_well(world):
    world.enqueue(OPENER, DAY)
    for _ in range(3):
        world.step()
    world.warehouse.down = "connection refused"
    for _ in range(20):
        world.step()
    assert {row.state for row in world.live()} <= {"phase2", "phase3", "phase4-step-1", "phase4-step-2"}
    world.warehouse.down = ""
    world.run()
    assert not [row for row in world.dates().values() if row.state != "done"]


def test_somebody_elses_open_run_is_waited_for(world):
    world.warehouse.open["box", OPENER] = HistoryRun(succeeded=False, started_at=world.time)
    world.enqueue(OPENER, OPENER)
    world.settle()
    assert world.dates()[OPENER].waiting in ("attempt", "open_run")
    assert not [j for j in world.executor.launched if j.env["BACKFILLD_PROCESSOR"] == "box"]
    world.time += 5 * 3600
    world.run()
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_a_hanging_job_is_ended_after_its_silence(tmp_path):
    world = World(shape(idle_timeout="60s"), SEASON, tmp_path)
    fails(world, "box", times=1, seconds=1e9)
    world.enqueue(OPENER, OPENER)
    for _ in range(10):
        world.time += 61
        world.settle()
    world.run()
    assert ("box", "idle") in world.attempts(OPENER)
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_history_rows_always_chain(world):
    world.enqueue(OPENER, DAY)
    world.run()
    for date in world.dates():
        with world.db.read() as tx:
            rows = transitions.history(tx, date)
        assert [row.version for row in rows] == list(range(1, len(rows) + 1))
        assert all(a.target == b.source for a, b in itertools.pairwise(rows))


def test_batches_run_several_dates_in_one_attempt_and_judge_each(tmp_path):
    table = processor("box", command=["load", "{start}", "{end}"], batch=5)
    world = World(pipeline(phase("phase2", table)), SEASON, tmp_path)
    world.enqueue(OPENER, OPENER + dt.timedelta(days=9))
    world.run()
    assert [job.argv for job in world.executor.launched] == [
        ("load", "2021-10-19", "2021-10-23"),
        ("load", "2021-10-24", "2021-10-28"),
    ]
    assert not world.live()


def test_an_answer_that_no_longer_counts_is_no_failure_either(tmp_path):
    # Given a breaker that trips at two alike, and a job that fails, once
    world = World(shape(breaker_threshold=2), SEASON, tmp_path)
    fails(world, "box", times=1, code=1)

    def news(point):
        if point == ANSWER_SENT and ("box", "exited 1") in world.attempts(OPENER):
            world.warehouse.point = lambda _: None
            with world.db.write() as tx:
                checks.request_check(tx, [(OPENER, "box")], world.time)

    # When something else happens to the check while the warehouse answers what became of the job
    world.warehouse.point = news
    world.enqueue(OPENER, OPENER)
    world.run()
    # Then that answer counts for nothing, the next one counts once, and the job is tried again
    assert [event for event in world.events if isinstance(event, Incident)] == []
    assert [status for name, status in world.attempts(OPENER) if name == "box"] == ["exited 1", "exited 0"]
    assert world.dates()[OPENER].outcome == "bootstrap"
