"""Dates that several backfills want: joined, shared, and withdrawn one interest at a time."""

import datetime as dt
import re

import pytest

from backfilld.state.records import Sources
from backfilld.state.store import backfill_dates, row_mappers, transitions
from tests.factories import phase, pipeline, processor
from tests.simulation.season import DAY, OPENER, SEASON, fails, shape
from tests.simulation.world import ME, Work, World

NEXT = OPENER + dt.timedelta(days=1)


@pytest.fixture
def world(tmp_path, state_url):
    found = World(shape(), SEASON, tmp_path, url=state_url)
    yield found
    found.db.close()


@pytest.fixture
def slow(tmp_path):
    """A world of one phase, whose jobs run until the clock is moved."""
    found = World(pipeline(phase("phase2", processor("box"), processor("lines"))), SEASON, tmp_path)

    def script(job):
        return Work(seconds=100.0, talks=100.0, effect=found.well(job).effect)

    found.script = script
    return found


def launched(world, name):
    return sum(job.env["BACKFILLD_PROCESSOR"] == name for job in world.executor.launched)


def test_the_second_request_joins_and_finishes_only_when_the_date_has_ended(world):
    # Given a date that one backfill is working on
    first = world.enqueue(OPENER, OPENER)
    world.settle()
    # When another one asks for it
    second = world.enqueue(OPENER, OPENER)
    # Then it joins, and is active until the date has ended for both
    assert second.outcomes == {"joined": 1}
    assert world.status(second) == "active"
    world.run()
    assert [world.status(one) for one in (first, second)] == ["finished", "finished"]
    assert world.ended(second) == world.ended(first) == ({"done": 1}, {"bootstrap": 1})
    assert launched(world, "box") == 1


def test_both_backfills_get_the_failure_of_a_shared_date_and_its_recovery(world):
    fails(world, "box", times=3, code=1)
    receipts = [world.enqueue(OPENER, OPENER) for _ in range(2)]
    world.run()
    assert [world.ended(one)[0] for one in receipts] == [{"failed": 1}, {"failed": 1}]
    # When an operator retries the date, it ends well for both
    world.commands.retry_date(OPENER, by=ME)
    assert [world.status(one) for one in receipts] == ["active", "active"]
    world.run()
    assert [world.ended(one)[0] for one in receipts] == [{"done": 1}, {"done": 1}]


def test_cancel_withdraws_one_interest_and_the_date_goes_on_for_the_other(slow):
    # Given a job that runs for a date that two backfills want
    first, second = (slow.enqueue(OPENER, OPENER) for _ in range(2))
    slow.settle()
    running = len(slow.executor.alive)
    # When the first one is cancelled, which the job was started for
    slow.commands.cancel(first.id, by=ME)
    slow.settle()
    # Then the job goes on, and only the cancelled one has ended
    assert len(slow.executor.alive) == running > 0
    assert slow.status(first) == "cancelled"
    assert slow.ended(first) == ({"failed": 1}, {"cancelled": 1})
    assert slow.dates()[OPENER].backfill_id == second.id
    slow.run()
    assert slow.ended(second) == ({"done": 1}, {"complete": 1})
    assert slow.ended(first) == ({"failed": 1}, {"cancelled": 1})


def test_a_date_is_cancelled_with_the_last_backfill_that_wants_it(slow):
    receipts = [slow.enqueue(OPENER, OPENER) for _ in range(3)]
    slow.settle()
    for receipt in receipts:
        assert slow.dates()[OPENER].outcome == ""
        slow.commands.cancel(receipt.id, by=ME)
        slow.settle()
    slow.run()
    assert slow.dates()[OPENER].outcome == "cancelled"
    assert {slow.status(one) for one in receipts} == {"cancelled"}


def test_a_request_takes_over_a_date_whose_backfill_is_being_cancelled(slow):
    # Given a backfill that is being cancelled while its job still runs
    first = slow.enqueue(OPENER, OPENER)
    slow.settle()
    slow.commands.cancel(first.id, by=ME)
    assert slow.status(first) == "cancelling"
    # When another one asks for the date
    second = slow.enqueue(OPENER, OPENER)
    # Then the date is its own, and ends well
    (detail,) = second.details
    assert (detail.outcome, detail.reason.split(",")[0]) == (
        "enqueued",
        f"taken over from backfill {first.id}",
    )
    slow.run()
    assert slow.dates()[OPENER].outcome == "complete"
    assert (slow.status(first), slow.status(second)) == ("cancelled", "finished")


def test_the_highest_priority_of_all_owners_counts_and_goes_with_its_backfill(tmp_path):
    # Given one slot, and a backfill of low priority that waits for it
    world = World(pipeline(phase("phase2", processor("box")), jobs={"slots": 1}), SEASON, tmp_path)
    world.script = lambda job: Work(seconds=10.0, talks=10.0, effect=world.well(job).effect)
    span = [OPENER + dt.timedelta(days=n) for n in range(4)]
    world.enqueue(span[0], span[-1], priority=-10)
    world.settle()
    # When another one asks for the last date with a high priority
    urgent = world.enqueue(span[-1], span[-1], priority=90)
    assert world.dates()[span[-1]].priority == 90
    # And for another that it gives up again
    withdrawn = world.enqueue(span[-2], span[-2], priority=80)
    world.commands.cancel(withdrawn.id, by=ME)
    assert world.dates()[span[-2]].priority == -10
    world.run()
    # Then the urgent one is next, and the others keep their order
    order = [job.env["BACKFILLD_DATES"] for job in world.executor.launched]
    assert order == [str(span[n]) for n in (0, 3, 1, 2)]
    assert world.status(urgent) == "finished"


def test_a_pause_holds_only_dates_whose_every_owner_is_paused(world):
    # Given two backfills that share one of two dates
    first, second = world.enqueue(OPENER, NEXT), world.enqueue(NEXT, NEXT)
    world.commands.pause(first.id, by=ME)
    world.run()
    # Then the shared date goes on for the other, and the own one waits
    assert world.dates()[OPENER].waiting == "paused"
    assert world.dates()[NEXT].outcome == "bootstrap"
    assert (world.status(first), world.status(second)) == ("paused", "finished")


def test_a_date_of_a_paused_backfill_goes_on_when_another_asks_for_it(world):
    first = world.enqueue(OPENER, OPENER)
    world.commands.pause(first.id, by=ME)
    world.run()
    assert world.dates()[OPENER].waiting == "paused"
    world.enqueue(OPENER, OPENER)
    world.run()
    assert world.dates()[OPENER].outcome == "bootstrap"


def test_when_both_are_paused_the_wait_names_both(world):
    receipts = [world.enqueue(OPENER, OPENER) for _ in range(2)]
    world.settle()
    for receipt in receipts:
        world.commands.pause(receipt.id, by=ME)
    world.run()
    (row,) = world.live()
    assert (
        row.waiting_text
        == "backfill 1 is paused; backfilld resume 1; backfill 2 is paused; backfilld resume 2"
    )


def test_the_widest_sources_of_all_owners_count(slow):
    # Given a backfill that may run no source, and waits for what runs
    slow.commands.pause_everything(by=ME, reason="lunch")
    slow.enqueue(OPENER, OPENER, sources=Sources.NONE)
    slow.enqueue(OPENER, OPENER, sources=Sources.ALL)
    slow.commands.resume_everything(by=ME)
    slow.run()
    assert slow.dates()[OPENER].outcome == "complete"
    assert launched(slow, "box") == 1


def test_a_request_with_wider_sources_runs_those_that_a_live_date_has_passed_without(tmp_path):
    # Given a date that has passed its first phase without one of its sources, which was left out
    raw = phase("raw", processor("box"), processor("lines", priority="fallback"))
    world = World(pipeline(raw, phase("derived", processor("team"))), SEASON, tmp_path)
    world.script = lambda job: Work(seconds=50.0, talks=50.0, effect=world.well(job).effect)
    world.enqueue(OPENER, OPENER, sources=Sources.CRITICAL)
    while world.dates()[OPENER].state != "derived":
        world.step()
    # When another backfill lets all of them run
    wide = world.enqueue(OPENER, OPENER)
    world.run()
    # Then it has run, before the date was done
    assert [launched(world, name) for name in ("box", "lines")] == [1, 1]
    assert world.ended(wide) == ({"done": 1}, {"complete": 1})


def test_a_source_that_only_a_paused_backfill_lets_run_waits_for_it(slow):
    slow.commands.pause_everything(by=ME, reason="lunch")
    wide = slow.enqueue(OPENER, OPENER, sources=Sources.ALL)
    slow.enqueue(OPENER, OPENER, sources=Sources.NONE)
    slow.commands.pause(wide.id, by=ME)
    slow.commands.resume_everything(by=ME)
    slow.run()
    (row,) = slow.live()
    assert (row.waiting, row.waiting_text, launched(slow, "box")) == (
        "paused",
        "backfill 1 is paused; backfilld resume 1",
        0,
    )


def test_force_on_a_live_date_runs_it_once_more_after_what_runs_now(slow):
    # Given a date whose jobs are running
    slow.enqueue(OPENER, OPENER)
    slow.settle()
    assert launched(slow, "box") == 1
    # When another backfill asks for it with force
    forced = slow.enqueue(OPENER, OPENER, force=True)
    slow.settle()
    # Then what runs is not stopped, and each processor runs once more
    assert len(slow.executor.alive) == 2
    slow.run()
    assert (launched(slow, "box"), launched(slow, "lines")) == (2, 2)
    assert slow.ended(forced) == ({"done": 1}, {"complete": 1})
    assert slow.path(OPENER).count("pending") == 2


def test_two_forced_requests_for_a_pending_date_run_it_once(slow):
    slow.commands.pause_everything(by=ME, reason="lunch")
    for _ in range(2):
        slow.enqueue(OPENER, OPENER, force=True)
    slow.commands.resume_everything(by=ME)
    slow.run()
    assert launched(slow, "box") == 1


def test_a_retry_of_a_cancelled_backfill_joins_what_others_want_and_counts_what_they_completed(slow):
    # Given a cancelled backfill of two dates: one was done by another since, one is live for another
    first = slow.enqueue(OPENER, NEXT)
    slow.enqueue(OPENER, OPENER)
    slow.commands.cancel(first.id, by=ME)
    slow.run()
    slow.enqueue(NEXT, NEXT)
    # When it is retried
    slow.commands.retry(first.id, by=ME)
    # Then it has the one, and joins the other
    with slow.db.read() as tx:
        assert [i.backfill_id for i in backfill_dates.owners(tx, [NEXT])[NEXT]] == [1, 3]
    assert slow.ended(first)[1] == {"complete": 1}
    slow.run()
    assert slow.ended(first) == ({"done": 2}, {"complete": 2})


def test_the_retry_of_a_forced_backfill_that_joins_a_live_date_rewrites_it_once_more(slow):
    # Given a forced backfill that was cancelled, and a date that another one works on
    slow.fill("box", OPENER)
    forced = slow.enqueue(OPENER, OPENER, force=True)
    slow.commands.cancel(forced.id, by=ME)
    slow.settle()
    plain = slow.enqueue(OPENER, OPENER)
    slow.settle()
    assert (launched(slow, "box"), launched(slow, "lines")) == (0, 1)
    # When it is retried
    slow.commands.retry(forced.id, by=ME)
    slow.run()
    # Then what runs ends first, and the date starts again for it
    assert (launched(slow, "box"), launched(slow, "lines")) == (1, 2)
    assert [slow.ended(one)[0] for one in (forced, plain)] == [{"done": 1}, {"done": 1}]


def test_the_retry_of_a_wider_backfill_that_joins_a_live_date_runs_what_the_other_left_out(slow):
    wide = slow.enqueue(OPENER, OPENER)
    slow.commands.cancel(wide.id, by=ME)
    slow.settle()
    slow.enqueue(OPENER, OPENER, selection=("box",))
    slow.settle()
    slow.commands.retry(wide.id, by=ME)
    slow.run()
    assert (launched(slow, "box"), launched(slow, "lines")) == (1, 1)
    assert slow.dates()[OPENER].outcome == "complete"


def test_the_retry_of_a_backfill_that_asks_for_no_more_than_others_do_starts_no_date_again(slow):
    narrow = slow.enqueue(OPENER, OPENER, selection=("box",))
    slow.commands.cancel(narrow.id, by=ME)
    slow.settle()
    slow.enqueue(OPENER, OPENER)
    slow.settle()
    slow.commands.retry(narrow.id, by=ME)
    slow.run()
    with slow.db.read() as tx:
        assert "readmit" not in [move.trigger for move in transitions.history(tx, OPENER)]


def test_every_owner_is_stopped_by_its_own_limit_of_failures(tmp_path):
    world = World(shape(breaker_threshold=0, max_attempts=1), SEASON, tmp_path)
    fails(world, "box", times=1, code=1)
    strict = world.enqueue(OPENER, DAY, max_failures=1)
    patient = world.enqueue(OPENER, DAY)
    world.run()
    assert world.status(strict) == "finished" or "stopped" in world.status(strict)
    assert world.ended(patient)[0]["failed"] == 1
    assert not [row for row in world.live() if row.waiting == "paused"]


def test_dates_that_five_backfills_share_are_joined_in_one_transaction(tmp_path, monkeypatch):
    # Given five backfills that want the same thousand dates
    world, start = shared_season(tmp_path, dates=1_000)
    for _ in range(5):
        world.enqueue(start, OPENER)
    written = []
    write = world.db.write
    monkeypatch.setattr(world.db, "write", lambda: written.append(1) or write())
    # When one more asks for them, with a higher priority
    read = []
    mapped = row_mappers.date
    monkeypatch.setattr(row_mappers, "date", lambda row: read.append(1) or mapped(row))
    receipt = world.enqueue(start, OPENER, priority=5)
    # Then one transaction joins them all, beside that of the calendar, and reads each date once
    assert len(read) == 1_000
    assert receipt.outcomes == {"joined": 1_000}
    assert len(written) == 2
    assert {row.priority for row in world.dates().values()} == {5}


def shared_season(folder, dates):
    """A world with a season of so many dates, and its first one."""
    start = OPENER - dt.timedelta(days=dates - 1)
    season = {"name": "long", "opens": start, "closes": OPENER}
    one_phase = phase("phase2", processor("box"))
    calendar = {start + dt.timedelta(days=n): 1 for n in range(dates)}
    shape = pipeline(one_phase, calendar={"file": "calendar.csv", "season": [season]})
    return World(shape, calendar, folder), start


def test_leads_of_dates_that_lie_far_apart_are_read_without_the_dates_between(slow):
    # Given a request for the first and the last date of forty
    ends = (OPENER, max(SEASON))
    slow.enqueue(*ends)
    sent = []
    with slow.db.write() as tx:
        tx.connection.dbapi_connection.set_trace_callback(sent.append)
        backfill_dates.elect_leads(tx, ends)
        tx.connection.dbapi_connection.set_trace_callback(None)
    # Then exactly these two are read
    (read,) = [statement for statement in sent if "FROM dates" in statement]
    assert re.findall(r"'(\d{4}-\d\d-\d\d)'", read) == [str(date) for date in ends]
    assert "BETWEEN" not in read
