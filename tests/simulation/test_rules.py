"""The rules of movement, at work: the real engine and store in a simulated world."""

import datetime as dt
import itertools
from collections import Counter

import pytest

from daemon.control import Refused
from daemon.events import AttemptEnded
from daemon.waiting import waiting_on
from state.store import backfills, checks, dates
from state.verdict import Run
from tests.factories import phase, pipeline, processor
from tests.simulation.outside import Work
from tests.simulation.world import ME, World

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(40)}
DAY = dt.date(2021, 10, 26)


def shape(**jobs):
    return pipeline(
        phase("phase2", processor("box"), processor("pbp", priority="fallback")),
        phase("phase3", processor("team"), processor("player", after=["team"])),
        phase("phase4", processor("zones"), processor("cache"), order="sequential", skip_bootstrap=True),
        jobs={"slots": 8, "backoff": "10s", **jobs},
    )


@pytest.fixture
def world(tmp_path, state_url):
    found = World(shape(), SEASON, tmp_path, url=state_url)
    yield found
    found.db.close()


def fails(world, name, times=10**6, **work):
    """Let a processor's first jobs go wrong: by default they exit 0 and write nothing."""
    left = itertools.count()
    well = world.script

    def script(job):
        if job.env["BACKFILLD_PROCESSOR"] == name and next(left) < times:
            return Work(**work)
        return well(job)

    world.script = script


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
    assert [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched[before:]] == []
    assert world.dates()[DAY].outcome == "blocked"
    world.control.retry_date(DAY, by=ME)
    world.run()
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
    assert world.attempts(DAY) == [("box", "succeeded"), ("team", "succeeded")]


def test_exit_0_without_rows_is_no_data_and_blocks(world):
    fails(world, "team")
    world.enqueue(DAY, DAY)
    world.run()
    row = world.dates()[DAY]
    assert (row.state, row.outcome) == ("failed", "blocked")
    assert "team: no data: the latest run succeeded" in row.reason
    assert world.attempts(DAY).count(("team", "succeeded")) == 1


def test_exit_1_with_all_rows_is_complete(world):
    fails(world, "team", code=1, effect=lambda: world.fill("team", DAY))
    for date in SEASON:
        world.fill("team", date)
        world.fill("player", date)
    world.fill("team", DAY, 0)
    world.enqueue(DAY, DAY)
    world.run()
    assert ("team", "failed") in world.attempts(DAY)
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


def test_a_hole_in_phase_3_blocks_later_dates_with_its_name_until_it_is_accepted(world):
    hole = OPENER + dt.timedelta(days=3)

    def script(job):
        same = job.env["BACKFILLD_PROCESSOR"] == "team" and job.env["BACKFILLD_DATE"] == hole.isoformat()
        return Work(code=1) if same else world.well(job)

    world.script = script
    world.enqueue(OPENER, DAY)
    for _ in range(200):
        world.step()
    row = world.dates()[DAY]
    assert (row.state, row.waiting) == ("phase3", "earlier_date")
    assert f"{hole} in phase3" in row.waiting_text
    for name in ("team", "player"):
        world.control.accept(hole, name, by=ME, reason="arena closed")
    world.run()
    assert world.dates()[DAY].outcome == "complete"
    assert world.dates()[hole].outcome == "accepted"


def test_dates_of_the_lookback_that_nobody_enqueued_are_asked_about_and_bar_the_way(world):
    world.enqueue(DAY, DAY)
    for _ in range(60):
        world.step()
    assert world.dates()[DAY].waiting == "earlier_date"
    for name, date in itertools.product(("team", "player"), SEASON):
        if date < DAY:
            world.fill(name, date)
    with world.db.write() as tx:
        checks.want(tx, [(d, n) for d in SEASON if d < DAY for n in ("team", "player")], world.time)
    world.run()
    assert world.dates()[DAY].outcome == "complete"


def test_accepting_one_gap_of_a_date_that_nobody_enqueued_leaves_its_other_gaps_holes(world):
    # Given an earlier date that lacks both processors of phase 3, and an operator who accepts the first
    for name, date in itertools.product(("team", "player"), SEASON):
        world.fill(name, date, rows=int(date != OPENER))
    world.control.accept(OPENER, "team", by=ME, reason="arena closed")
    # When a later date comes to the gate of phase 4
    world.enqueue(DAY, DAY)
    for _ in range(60):
        world.step()
    # Then it waits for the other
    assert world.dates()[DAY].waiting == "earlier_date"
    world.control.accept(OPENER, "player", by=ME, reason="arena closed")
    world.run()
    assert world.dates()[DAY].outcome == "complete"


def test_pause_stops_new_starts_survives_a_restart_and_resume_goes_on(world):
    world.enqueue(OPENER, DAY)
    for _ in range(5):
        world.step()
    world.control.pause_everything(by=ME, reason="lunch")
    before = len(world.executor.launched)
    world.start()
    world.run()
    assert len(world.executor.launched) == before
    world.control.resume_everything(by=ME)
    world.run()
    assert not world.live()


def test_a_paused_backfill_waits_and_says_so_while_another_goes_on(world):
    first = world.enqueue(OPENER, OPENER)
    world.settle()
    world.control.pause(first.id, by=ME)
    world.enqueue(OPENER + dt.timedelta(days=1), OPENER + dt.timedelta(days=1))
    world.run()
    assert world.dates()[OPENER].waiting == "paused"
    assert world.dates()[OPENER + dt.timedelta(days=1)].outcome == "bootstrap"
    world.control.resume(first.id, by=ME)
    world.run()
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_cancel_ends_what_runs_and_a_retry_runs_only_what_is_missing(world):
    receipt = world.enqueue(OPENER, OPENER)
    world.settle()
    world.control.cancel(receipt.id, by=ME)
    world.run()
    assert not world.executor.alive
    assert {row.outcome for row in world.dates().values()} == {"cancelled"}
    world.fill("box", OPENER)
    before = len(world.executor.launched)
    world.control.retry(receipt.id, by=ME)
    world.run()
    assert "box" not in [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched[before:]]
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_too_many_failures_stop_a_backfill_until_it_is_resumed(tmp_path):
    world = World(shape(breaker=0), SEASON, tmp_path)
    fails(world, "box", times=9, code=1)
    receipt = world.enqueue(OPENER, DAY, max_failures=1)
    world.run()
    assert any(row.waiting == "paused" and "stopped" in row.waiting_text for row in world.live())
    world.control.resume(receipt.id, by=ME)
    world.run()


def test_an_accepted_gap_passes_though_its_table_cannot_be_asked_and_is_not_asked_about_for_ever(world):
    # Given a date that waits for a table that is gone, and one that nobody enqueued
    world.warehouse.broken["box"] = "table not found"
    world.enqueue(OPENER, OPENER)
    for _ in range(3):
        world.step()
    assert world.dates()[OPENER].waiting == "warehouse"
    # When the gap is accepted on both
    for date in (OPENER, DAY):
        world.control.accept(date, "box", by=ME, reason="the table is gone")
    # Then the date passes, and after a while nothing more is asked
    world.run(limit=100)
    assert world.dates()[OPENER].outcome == "accepted"


def test_retrying_a_stopped_backfill_wakes_the_dates_that_were_stopped(tmp_path):
    # Given a backfill that was stopped by the failure of one date, while others wait
    world = World(shape(breaker=0, max_attempts=1), SEASON, tmp_path)
    fails(world, "box", times=1, code=1)
    receipt = world.enqueue(OPENER, OPENER + dt.timedelta(days=2), max_failures=1)
    world.run()
    assert {row.waiting for row in world.live()} == {"paused"}
    # When what failed is retried
    world.control.retry(receipt.id, by=ME)
    world.run()
    # Then all of it goes on
    assert not world.live()


def test_a_date_cannot_be_put_back_while_the_rest_of_its_backfill_is_being_cancelled(world):
    receipt = world.enqueue(dt.date(2021, 10, 17), OPENER)
    world.settle()
    world.control.cancel(receipt.id, by=ME)
    with pytest.raises(Refused, match="is being cancelled"):
        world.control.retry_date(dt.date(2021, 10, 17), by=ME)
    world.run()
    assert world.dates()[OPENER].outcome == "cancelled"


def test_the_same_error_again_and_again_pauses_the_processor(world):
    fails(world, "box", times=6, code=1)
    world.enqueue(OPENER, DAY)
    world.run()
    (hold,) = world.control.holds()
    assert (hold.kind, hold.key) == ("processor", "box")
    assert "the same error 5 times in a row" in hold.reason
    world.control.lift("processor", "box", by=ME)
    world.run()
    assert not [row for row in world.live() if row.waiting == "held"]


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
    world.warehouse.open["box", OPENER] = Run(succeeded=False, started_at=world.time)
    world.enqueue(OPENER, OPENER)
    world.settle()
    assert world.dates()[OPENER].waiting in ("attempt", "open_run")
    assert not [j for j in world.executor.launched if j.env["BACKFILLD_PROCESSOR"] == "box"]
    world.time += 5 * 3600
    world.run()
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_a_hanging_job_is_ended_after_its_silence(tmp_path):
    world = World(shape(silence="60s"), SEASON, tmp_path)
    fails(world, "box", times=1, seconds=1e9)
    world.enqueue(OPENER, OPENER)
    for _ in range(10):
        world.time += 61
        world.settle()
    world.run()
    assert ("box", "silent") in world.attempts(OPENER)
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_history_rows_always_chain(world):
    world.enqueue(OPENER, DAY)
    world.run()
    for date in world.dates():
        with world.db.read() as tx:
            rows = dates.history(tx, date)
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


def test_ten_thousand_dates_of_any_kind_are_enqueued_in_one_transaction(tmp_path, monkeypatch):
    # Given a calendar in which most of the dates have no games
    world = World(shape(), SEASON, tmp_path)
    written = []
    write = world.db.write
    monkeypatch.setattr(world.db, "write", lambda: written.append(1) or write())
    start = OPENER - dt.timedelta(days=9_990)
    # When they are enqueued
    receipt = world.enqueue(start, OPENER + dt.timedelta(days=9))
    # Then one transaction keeps the calendar and one the request, and every date has its answer
    assert receipt.outcomes == {"not_expected": 9_990, "enqueued": 10}
    assert len(written) == 2
    assert world.path(start) == ["pending", "done"]


def test_a_backfill_keeps_how_its_dates_ended_when_a_later_one_takes_them(world):
    first = world.enqueue(OPENER, OPENER)
    world.run()
    world.enqueue(OPENER, OPENER, force=True)
    with world.db.read() as tx:
        assert backfills.standing(tx, first.id) == ({"done": 1}, {"bootstrap": 1})


def test_what_many_dates_wait_for_is_told_alike_and_truly(world):
    fails(world, "team", code=1)
    world.enqueue(OPENER, DAY)
    for _ in range(60):
        world.step()
    with world.db.read() as tx:
        held = [row for row in world.dates().values() if row.waiting == "earlier_date"]
        told = waiting_on(tx, world.core, held)
    assert all(sentence.startswith(f"{OPENER} is not satisfied in phase3") for sentence in told.values())
