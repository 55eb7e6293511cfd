"""Backfills that cannot move by themselves, and what is not stuck although it waits."""

import datetime as dt

import pytest

from backfilld.api.notifications import messages
from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.rules.evidence import UNTIL_CORRECTED
from backfilld.state.store import backfills, sent_notifications
from tests.factories import phase, pipeline, processor
from tests.simulation.check_fakes import CheckResult
from tests.simulation.season import DAY, OPENER, SEASON, fails, shape
from tests.simulation.world import ME, Work, World

NEXT = DAY + dt.timedelta(days=1)


@pytest.fixture
def world(tmp_path):
    found = World(shape(breaker_threshold=0, max_attempts=1), SEASON, tmp_path)
    yield found
    found.db.close()


def status(world, receipt):
    with world.db.read() as tx:
        return stuck_backfills.status(tx, world.context, backfills.get(tx, receipt.id))


def blocked(world):
    """A backfill of three dates, the first of which fails in a critical source."""
    world.enqueue(OPENER, DAY - dt.timedelta(days=1))
    world.run()
    fails(world, "box", times=1, code=1)
    receipt = world.enqueue(DAY, DAY + dt.timedelta(days=2))
    world.run()
    return receipt


def test_a_backfill_behind_a_failed_date_is_stuck_and_says_what_helps(world):
    receipt = blocked(world)
    name, stuck_on = status(world, receipt)
    assert name == "stuck"
    assert stuck_on.startswith(f"blocked by {DAY}, which failed: box: ")
    assert stuck_on.endswith(f"; backfilld retry {DAY}")


def test_it_is_active_again_once_the_failed_date_is_retried_and_finishes(world):
    receipt = blocked(world)
    world.commands.retry_date(DAY, by=ME)
    assert status(world, receipt) == ("active", None)
    world.run()
    assert status(world, receipt) == ("finished", None)


def test_another_backfill_behind_the_same_failed_date_is_stuck_too(world):
    blocked(world)
    other = world.enqueue(NEXT, DAY + dt.timedelta(days=4))
    world.run()
    assert status(world, other)[0] == "stuck"


def rest(world):
    """Go on until no job runs: a table that cannot be queried is queried again without end."""
    world.settle()
    while world.executor.next_end() is not None:
        world.step()
        world.settle()


DENIED = f"nba.box: permission denied; grant SELECT; {UNTIL_CORRECTED}"


def test_a_backfill_whose_queries_fail_for_good_is_stuck_and_finishes_once_they_are_answered(world):
    # Given a table that the warehouse denies
    world.warehouse.broken = {"box": DENIED}
    receipt = world.enqueue(OPENER, DAY)
    rest(world)
    assert status(world, receipt) == ("stuck", DENIED)
    # When it is granted, then no command is needed
    world.warehouse.broken = {}
    world.run()
    assert status(world, receipt) == ("finished", None)


@pytest.mark.parametrize(
    "error", ["nba.box: BigQuery did not answer within 30 s", "nba.box: another session locks the table"]
)
def test_a_backfill_whose_queries_fail_for_a_while_is_not_stuck(world, error):
    world.warehouse.broken = {"box": error}
    receipt = world.enqueue(OPENER, DAY)
    rest(world)
    assert status(world, receipt) == ("active", None)


def test_a_backfill_is_not_stuck_on_a_query_that_fails_for_good_while_another_job_runs(world):
    world.script = lambda job: Work(seconds=100.0, talks=100.0, effect=world.well(job).effect)
    world.warehouse.broken = {"box": DENIED}
    receipt = world.enqueue(DAY, DAY)
    world.settle()
    assert status(world, receipt) == ("active", None)


def test_a_backfill_whose_selection_is_there_says_that_its_dates_go_on_for_others(world):
    first = blocked(world)
    other = world.enqueue(NEXT, NEXT, selection=("box",))
    world.run()
    name, stuck_on = status(world, other)
    of_first = status(world, first)[1]
    assert (name, stuck_on.partition(": ")[0]) == (
        "stuck",
        "all that it selects is there, and its dates go on for others",
    )
    assert stuck_on.endswith(of_first)


def test_a_backfill_with_one_date_that_moves_is_not_stuck(world):
    # Given dates behind a failed one, and one in its first jobs
    receipt = blocked(world)
    world.script = lambda job: Work(seconds=100.0, talks=100.0, effect=world.well(job).effect)
    world.commands.retry_date(DAY, by=ME)
    world.settle()
    assert status(world, receipt) == ("active", None)


def test_a_hold_without_an_end_is_stuck_and_one_that_ends_by_itself_is_not(world):
    world.commands.hold("processor", "box", by=ME, reason="being repaired")
    receipt = world.enqueue(OPENER, DAY)
    world.run()
    name, stuck_on = status(world, receipt)
    assert name == "stuck"
    assert stuck_on.endswith("backfilld release processor box")
    world.commands.release("processor", "box", by=ME)
    assert status(world, receipt)[0] == "active"


def test_a_backoff_is_not_stuck(tmp_path):
    world = World(shape(breaker_threshold=0), SEASON, tmp_path)
    fails(world, "box", times=2, code=1)
    receipt = world.enqueue(OPENER, OPENER)
    seen = {status(world, receipt)[0]}
    while world.step():
        seen.add(status(world, receipt)[0])
    seen.add(status(world, receipt)[0])
    assert seen == {"active", "finished"}


def test_a_pause_of_everything_is_named_once_nothing_runs_any_more(world):
    world.commands.pause_everything(by=ME, reason="lunch")
    receipt = world.enqueue(OPENER, OPENER)
    world.run()
    assert status(world, receipt) == ("stuck", "everything is paused by me: lunch; backfilld resume")


def test_a_date_that_was_never_enqueued_and_lacks_data_is_what_later_dates_are_stuck_on(world):
    receipt = world.enqueue(NEXT, NEXT)
    world.run(limit=200)
    name, stuck_on = status(world, receipt)
    assert name == "stuck"
    assert "which was never enqueued" in stuck_on
    assert f"backfilld enqueue {stuck_on.split()[2].rstrip(',')}" in stuck_on


def checked(folder):
    """A world in which a source has a check command."""
    check = {"check": {"command": ["dbt", "test"]}}
    return World(
        pipeline(phase("raw", processor("box", expect=check)), phase("derived", processor("team"))),
        SEASON,
        folder,
    )


def run_checks(world, times):
    """Go on until so many check commands have ended."""
    world.settle()
    while len(world.checks.started) < times or world.checks.running:
        assert world.step()
        world.settle()


def test_a_check_command_that_can_never_run_is_stuck_and_says_what_helps(tmp_path):
    world = checked(tmp_path)
    world.checks.script = lambda pair: CheckResult(127, detail="the program dbt does not exist")
    receipt = world.enqueue(DAY, NEXT)
    run_checks(world, 2)
    # Then both dates wait for one cause, and it is named with what helps
    assert status(world, receipt) == (
        "stuck",
        'check "dbt test" could not run its program, exit 127: the program dbt does not exist;'
        f" correct expect.check.command, and reload; or backfilld accept {DAY} box --reason TEXT",
    )
    # And it stays so while the command runs again
    seen = set()
    while len(world.checks.started) < 4 or world.checks.running:
        world.step()
        world.settle()
        seen.add(status(world, receipt)[0])
    assert seen == {"stuck"}
    # When it can run, then the backfill goes on by itself
    world.checks.script = lambda pair: CheckResult(0)
    world.run()
    assert status(world, receipt) == ("finished", None)


def test_a_check_command_that_timed_out_once_may_still_pass_and_one_that_always_does_is_stuck(tmp_path):
    world = checked(tmp_path)
    world.checks.script = lambda pair: CheckResult(None, detail="did not end within 300 s; raise its timeout")
    receipt = world.enqueue(DAY, DAY)
    run_checks(world, 1)
    assert status(world, receipt) == ("active", None)
    run_checks(world, 2)
    name, stuck_on = status(world, receipt)
    assert (name, "did not end within 300 s; raise its timeout" in stuck_on) == ("stuck", True)
    # When another job writes the output anew, then what is known of it counts no more
    world.fill("box", DAY, rows=2)
    run_checks(world, 3)
    assert status(world, receipt) == ("active", None)
    # And a waiver ends the wait
    world.commands.accept(DAY, "box", by=ME, reason="its check hangs")
    world.run()
    assert status(world, receipt) == ("finished", None)


def test_a_check_command_that_fails_for_one_date_leaves_the_others_active_and_is_stuck_after_them(tmp_path):
    world = checked(tmp_path)
    world.checks.script = lambda pair: CheckResult(127 if pair[0] == DAY else 0)
    receipt = world.enqueue(DAY, NEXT)
    seen = []
    while world.dates()[NEXT].state != "done":
        seen.append(status(world, receipt)[0])
        world.step()
    assert set(seen) == {"active"}
    world.settle()
    assert status(world, receipt)[0] == "stuck"


def test_the_wait_of_each_date_behind_names_the_root_and_not_the_date_before_it(world):
    blocked(world)
    with world.db.read() as tx:
        waits = waiting_on(tx, world.context, world.live())
    assert waits
    assert {text.split(":")[0] for text in waits.values()} == {f"blocked by {DAY}, which failed"}


def test_one_message_tells_of_a_stuck_backfill_and_one_more_when_a_retry_did_not_help(world):
    # Given a stuck backfill
    blocked(world)
    # Then one message tells of it
    (text,) = stuck_messages(world)
    assert "which failed: box: " in text
    assert stuck_messages(world) == []
    # And one more when it is stuck again after a retry
    fails(world, "box", times=1, code=1)
    world.commands.retry_date(DAY, by=ME)
    world.run()
    assert len(stuck_messages(world)) == 1


def stuck_messages(world):
    """The messages of that kind that are sent now."""
    with world.db.read() as tx:
        due = list(messages.due(tx, world.context))
    with world.db.write() as tx:
        for digest in due:
            sent_notifications.mark_sent(tx, digest.subject, digest.topics, world.time)
    return [digest.text for digest in due if "is stuck" in digest.text]


def test_a_backfill_is_not_stuck_on_a_period_while_the_verdict_on_another_output_is_to_come(tmp_path):
    # Given a week that waits for dates that nobody requested, beside an output that each date carries on
    week = processor("totals", command=["true", "{dates}"], period="week")
    derived = phase("derived", week, processor("balance", depends_on_past=True))
    world = World(pipeline(phase("raw", processor("box")), derived), SEASON, tmp_path)
    receipt = world.enqueue(OPENER, OPENER + dt.timedelta(days=2))
    began = world.time
    # While verdicts on that output are to come it is not stuck
    while world.step():
        world.tick()
        assert status(world, receipt) == ("active", None)
    assert [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched].count("balance") == 3
    assert status(world, receipt)[0] == "stuck"
    # And none of them came late
    assert world.time - began == 40
