"""What people ask for, and what stops by itself: backfills, pauses, cancels, retries, accepted gaps."""

import datetime as dt

import pytest

from backfilld.daemon.engine.operator_commands import Conflict
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.store import dates
from tests.factories import phase, pipeline, processor
from tests.simulation.season import DAY, OPENER, SEASON, fails, shape
from tests.simulation.world import ME, Work, World


@pytest.fixture
def world(tmp_path, state_url):
    found = World(shape(), SEASON, tmp_path, url=state_url)
    yield found
    found.db.close()


def test_pause_stops_new_starts_survives_a_restart_and_resume_goes_on(world):
    world.enqueue(OPENER, DAY)
    for _ in range(5):
        world.step()
    world.commands.pause_everything(by=ME, reason="lunch")
    before = len(world.executor.launched)
    world.start()
    world.run()
    assert len(world.executor.launched) == before
    world.commands.resume_everything(by=ME)
    world.run()
    assert not world.live()


def test_a_failed_date_on_which_nothing_is_expected_any_more_is_put_back_and_dismissed(world):
    # Given a date that failed, and whose games were taken out of the calendar since
    world.script = lambda job: Work(code=1)
    world.enqueue(OPENER, OPENER)
    world.run()
    assert world.dates()[OPENER].state == "failed"
    world.warehouse.calendar = {**SEASON, OPENER: 0}
    world.time += 120
    # When it is asked for again
    (detail,) = world.enqueue(OPENER, OPENER).details
    assert (detail.outcome, detail.reason.split(";")[0]) == ("enqueued", "failed before")
    world.run()
    # Then it fails no more
    assert world.path(OPENER)[-3:] == ["failed", "pending", "done"]
    assert world.dates()[OPENER].outcome == "not_expected"


def test_a_paused_backfill_waits_and_says_so_while_another_goes_on(world):
    first = world.enqueue(OPENER, OPENER)
    world.settle()
    world.commands.pause(first.id, by=ME)
    world.enqueue(OPENER + dt.timedelta(days=1), OPENER + dt.timedelta(days=1))
    world.run()
    assert world.dates()[OPENER].waiting == "paused"
    assert world.dates()[OPENER + dt.timedelta(days=1)].outcome == "bootstrap"
    world.commands.resume(first.id, by=ME)
    world.run()
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_cancel_ends_what_runs_and_a_retry_runs_only_what_is_missing(world):
    receipt = world.enqueue(OPENER, OPENER)
    world.settle()
    world.commands.cancel(receipt.id, by=ME)
    world.run()
    assert not world.executor.alive
    assert {row.outcome for row in world.dates().values()} == {"cancelled"}
    world.fill("box", OPENER)
    before = len(world.executor.launched)
    world.commands.retry(receipt.id, by=ME)
    world.run()
    assert "box" not in [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched[before:]]
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_what_no_executor_can_start_waits_for_it_and_uses_up_no_attempt(world):
    world.executor.unavailable_reason = "a ship that sails"
    world.enqueue(OPENER, OPENER)
    world.run()
    with world.db.read() as tx:
        assert waiting_on(tx, world.context, world.live()) == {
            OPENER: "the executor local: a ship that sails"
        }
    world.executor.unavailable_reason = ""
    world.run()
    assert world.dates()[OPENER].outcome == "bootstrap"
    assert world.executor.launched[0].attempt == 1


def test_too_many_failures_stop_a_backfill_until_it_is_resumed(tmp_path):
    world = World(shape(breaker_threshold=0), SEASON, tmp_path)
    fails(world, "box", times=9, code=1)
    receipt = world.enqueue(OPENER, DAY, max_failures=1)
    world.run()
    assert any(row.waiting == "paused" and "stopped" in row.waiting_text for row in world.live())
    world.commands.resume(receipt.id, by=ME)
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
        world.commands.accept(date, "box", by=ME, reason="the table is gone")
    # Then the date passes, and after a while nothing more is asked
    world.run(limit=100)
    assert world.dates()[OPENER].outcome == "waived"


def test_retrying_a_stopped_backfill_wakes_the_dates_that_were_stopped(tmp_path):
    # Given a backfill that was stopped by the failure of one date, while others wait
    world = World(shape(breaker_threshold=0, max_attempts=1), SEASON, tmp_path)
    fails(world, "box", times=1, code=1)
    receipt = world.enqueue(OPENER, OPENER + dt.timedelta(days=2), max_failures=1)
    world.run()
    assert {row.waiting for row in world.live()} == {"paused"}
    # When what failed is retried
    world.commands.retry(receipt.id, by=ME)
    world.run()
    # Then all of it goes on
    assert not world.live()


def test_a_stop_also_holds_back_what_the_failed_date_lets_start_of_its_week(tmp_path):
    # Given two dates of a week, one complete, while the job of the other one is running, which fails
    complete = OPENER + dt.timedelta(days=1)
    report = processor("report", command=["true", "{start}", "{end}"], period="week", max_attempts=1)
    world = World(pipeline(phase("raw", report)), dict.fromkeys([OPENER, complete], 5), tmp_path)
    world.script = lambda job: Work(code=1)
    world.fill("report", complete)
    world.enqueue(OPENER, complete, max_failures=1)
    assert world.step()
    # When the complete one is to be computed again in the pass in which the other one fails
    world.commands.retry_date(complete, by=ME, force=True)
    world.run()
    # Then it waits: one failed date stops the backfill
    assert [row.state for row in world.dates().values()] == ["failed", "raw"]
    assert world.dates()[complete].waiting == "paused"
    assert world.attempts(complete) == []


def test_a_date_cannot_be_put_back_while_the_rest_of_its_backfill_is_being_cancelled(world):
    receipt = world.enqueue(dt.date(2021, 10, 17), OPENER)
    world.settle()
    world.commands.cancel(receipt.id, by=ME)
    with pytest.raises(Conflict, match="is being cancelled"):
        world.commands.retry_date(dt.date(2021, 10, 17), by=ME)
    world.run()
    assert world.dates()[OPENER].outcome == "cancelled"


def test_the_same_error_again_and_again_pauses_the_processor(world):
    fails(world, "box", times=6, code=1)
    world.enqueue(OPENER, DAY)
    world.run()
    (hold,) = world.commands.holds()
    assert (hold.kind, hold.key) == ("processor", "box")
    assert "the same error 5 times in a row" in hold.reason
    world.commands.release("processor", "box", by=ME)
    world.run()
    assert not [row for row in world.live() if row.waiting == "held"]


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
    assert world.ended(first) == ({"done": 1}, {"bootstrap": 1})


def test_cancel_ends_the_batches_of_its_own_backfill_alone(tmp_path):
    # Given a job that takes dates together, and two backfills whose dates may start at the same moment
    table = processor("box", command=["load", "{dates}"], batch=4, writers=2)
    world = World(pipeline(phase("phase2", table)), SEASON, tmp_path)
    world.script = lambda job: Work(seconds=100.0, talks=100.0)
    world.commands.pause_everything(by=ME, reason="lunch")
    receipts = [world.enqueue(day, day + dt.timedelta(days=1)) for day in (OPENER, DAY)]
    world.settle()
    world.commands.resume_everything(by=ME)
    world.settle()
    # When one is cancelled
    world.commands.cancel(receipts[1].id, by=ME)
    world.settle()
    # Then it has ended, and the job of the other goes on
    assert [row.outcome for row in world.dates().values()] == ["", "", "cancelled", "cancelled"]
    assert [process.job.env["BACKFILLD_DATE"] for process in world.executor.alive.values()] == [str(OPENER)]


def test_dates_that_were_cancelled_are_no_failures_of_a_backfill_that_lives_again(tmp_path):
    # Given a cancelled backfill that stops at two failures
    world = World(shape(breaker_threshold=0, max_attempts=1), SEASON, tmp_path)
    receipt = world.enqueue(OPENER, OPENER + dt.timedelta(days=2), max_failures=2)
    world.commands.cancel(receipt.id, by=ME)
    world.run()
    # When two of its dates are retried and one of them fails
    fails(world, "box", times=1, code=1)
    for number in range(2):
        world.commands.retry_date(OPENER + dt.timedelta(days=number), by=ME)
    world.run()
    # Then the other goes on
    assert [row.outcome for row in world.dates().values()] == ["exhausted", "bootstrap", "cancelled"]


def test_an_accepted_gap_wakes_only_the_dates_up_to_the_next_hole(tmp_path):
    # Given two dates that have failed, before others that wait for them
    world = World(shape(breaker_threshold=0, max_attempts=1), SEASON, tmp_path)
    fails(world, "player", times=2, code=1)
    world.enqueue(OPENER, DAY + dt.timedelta(days=2))
    world.run(limit=200)
    assert {row.waiting for row in world.live()} == {"earlier_date"}
    # When the gap of the first is accepted, and of the second
    for number, woken in ((0, 1), (1, 4)):
        world.commands.accept(OPENER + dt.timedelta(days=number), "player", by=ME, reason="arena closed")
        # Then no date is looked at for which nothing has changed
        with world.db.read() as tx:
            assert len(dates.due(tx, world.time, 100)) == woken
        world.run(limit=200)
    assert not world.live()


def test_failures_that_were_forgiven_and_then_retried_are_no_credit_for_others(tmp_path):
    # Given a backfill that stops at two failures, has had them forgiven, and has made them good since
    world = World(shape(breaker_threshold=0, max_attempts=1, slots=1), SEASON, tmp_path)
    days = [OPENER + dt.timedelta(days=number) for number in range(6)]
    bad = set(days[:2])

    def script(job):
        date = dt.date.fromisoformat(job.env["BACKFILLD_DATE"])
        return Work(code=1) if date in bad and job.env["BACKFILLD_PROCESSOR"] == "box" else world.well(job)

    world.script = script
    receipt = world.enqueue(days[0], days[-1], max_failures=2)
    world.run()
    world.commands.resume(receipt.id, by=ME)
    bad.clear()
    for date in days[:2]:
        world.commands.retry_date(date, by=ME)
    world.run()
    assert {row.outcome for row in world.dates().values()} == {"bootstrap"}
    # When all others are run again and fail
    bad.update(days[2:])
    for date in days[2:]:
        world.fill("box", date, rows=0)
        world.commands.retry_date(date, by=ME)
    world.run()
    # Then it stops again at two, beside the job that ran by then
    assert world.dates()[days[-1]].waiting == "paused"


@pytest.mark.parametrize("paused_before", [True, False])
def test_the_retry_of_a_cancelled_backfill_goes_on_though_it_was_paused_before(world, paused_before):
    receipt = world.enqueue(OPENER, OPENER)
    if paused_before:
        world.commands.pause(receipt.id, by=ME)
    world.commands.cancel(receipt.id, by=ME)
    world.run()
    # Neither a pause nor a resume is for what was cancelled, and the refusal names what is
    with pytest.raises(Conflict, match=f"resumed; backfilld retry {receipt.id} runs its dates again"):
        world.commands.resume(receipt.id, by=ME)
    # When it is retried
    world.commands.retry(receipt.id, by=ME)
    world.run()
    assert world.dates()[OPENER].state == "done"


@pytest.mark.parametrize(("ran_before", "waits"), [(False, False), (True, True)])
def test_a_cancelled_rerun_keeps_later_dates_back_only_where_a_job_has_begun_it(tmp_path, ran_before, waits):
    # Given a balance that is complete, and is to be computed again
    days = [OPENER + dt.timedelta(days=n) for n in range(2)]
    ledger = pipeline(
        phase("raw", processor("moves")), phase("books", processor("balance", depends_on_past=True))
    )
    world = World(ledger, dict.fromkeys(days, 5), tmp_path)
    world.enqueue(days[0], days[0])
    world.run()
    if not ran_before:
        world.commands.pause_everything(by=ME, reason="lunch")
    world.script = lambda job: Work(seconds=100.0, talks=100.0)
    receipt = world.enqueue(days[0], days[0], force=True, selection=("balance",))
    world.settle()
    # When that is cancelled
    world.commands.cancel(receipt.id, by=ME)
    world.run()
    world.commands.resume_everything(by=ME)
    world.script = world.well
    world.enqueue(days[1], days[1])
    world.run()
    # Then the next day waits for a balance only that a job may have left half written
    assert [row.state for row in world.dates().values()] == ["failed", "raw" if waits else "done"]
