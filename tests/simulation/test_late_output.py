"""Rows and words of the history that show late count, also for a date that has failed."""

import datetime as dt
import itertools

from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.store import transitions
from tests.factories import phase, processor
from tests.simulation.fakes import Work
from tests.simulation.one_table import (
    CONFIRM,
    DATES,
    FIRST,
    ended,
    ran,
    shape,
    until_failed,
    until_the_last_attempt_has_ended,
    waits,
    writes_nothing,
)
from tests.simulation.world import ME, World


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


def test_a_waived_date_says_what_has_appeared_since_and_no_longer_why_it_was_missing(worlds):
    # Given a date that passed without two of its outputs
    important = [processor(name, priority="important") for name in ("extra", "odds")]
    world = worlds(shape(phase("raw", processor("box"), *important)))
    world.script = lambda job: (
        world.well(job) if job.env["BACKFILLD_PROCESSOR"] == "box" else writes_nothing(job)
    )
    world.enqueue(FIRST, FIRST)
    world.run()
    waived = world.dates()[FIRST].reason
    assert ended(world) == ("done", "waived")
    assert "extra: no data" in waived
    # When one of them appears
    world.fill("extra", FIRST)
    swept(world)
    late = "extra appeared after the date was waived"
    _, reason_of_odds = waived.split("; odds: ")
    assert world.dates()[FIRST].reason == f"odds: {reason_of_odds}; {late}"
    # And while the warehouse gives no answer, nothing changes
    world.warehouse.broken["extra"] = "table is locked"
    swept(world)
    assert world.dates()[FIRST].reason.endswith(late)
    del world.warehouse.broken["extra"]
    # When it vanishes again, then the date is as it was
    world.fill("extra", FIRST, rows=0)
    swept(world)
    assert (ended(world), world.dates()[FIRST].reason) == (("done", "waived"), waived)


def swept(world: World) -> None:
    """A week passes, and all done dates are queried again."""
    world.time += 8 * 86400.0
    world.engine.sweeper.run()
    world.run()
