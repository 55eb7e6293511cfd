"""Processors of one table: once an attempt on it has ended, what was known of any of them counts no more.

In all worlds the table has one row at the start, with which `patch` is complete and `base` is not. The job of
`base` writes nine rows, too many for `patch`, whose job leaves four: enough for both.
"""

import datetime as dt

import pytest

from backfilld.daemon.event_types import ForeignWrites
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import OPERATOR
from tests.simulation.fakes import Work
from tests.simulation.world import World

FIRST = dt.date(2021, 10, 19)
DATES = {FIRST + dt.timedelta(days=n): 5 for n in range(3)}
LAST = max(DATES)
TABLE = "nba.shared"
WEEK = 7 * 86400.0
WRITES = {"base": 9, "patch": 4, "team": 1}


def base(**keys):
    return processor("base", table=TABLE, expect={"rows": [3, 9]}, **keys)


def patch(most=4, **keys):
    return processor("patch", table=TABLE, expect={"rows": [1, most]}, **keys)


TEAM = phase("marts", processor("team"))
ONE_STATE = (phase("raw", base(), patch()), TEAM)
ONE_STATE_IN_ORDER = (phase("raw", base(), patch(after=["base"])), TEAM)
PATCH_LATER = (phase("raw", base()), phase("clean", patch()), TEAM)
PATCH_LAST = (phase("raw", base()), TEAM, phase("clean", patch()))
PATCH_EARLIER = (phase("clean", patch()), phase("raw", base()), TEAM)
IN_STEPS = (phase("raw", base(), patch(), order="sequential"), TEAM)


def job(world: World, *, code: int | None = 0):
    """A script by which each job writes its rows to its table."""

    def script(launched):
        name = launched.env["BACKFILLD_PROCESSOR"]
        covered = [dt.date.fromisoformat(text) for text in launched.env["BACKFILLD_DATES"].split(",")]

        def write() -> None:
            for date in covered:
                world.warehouse.rows[world.warehouse.table(name), date] = WRITES[name]

        return Work(effect=write, code=code if name == "base" else 0)

    return script


def shared(folder, *phases, **keys) -> World:
    world = World(pipeline(*phases, **keys), DATES, folder)
    world.warehouse.tables = {"base": TABLE, "patch": TABLE}
    world.script = job(world)
    for date in DATES:
        world.warehouse.rows[TABLE, date] = 1
    return world


def jobs(world: World, date: dt.date = FIRST) -> list[str]:
    return [name for name, _ in world.attempts(date)]


def verdict(world: World, name: str, date: dt.date = FIRST) -> Verdict:
    with world.db.read() as tx:
        return checks.for_dates(tx, [date])[date][name].verdict


@pytest.mark.parametrize(
    "phases",
    [ONE_STATE, ONE_STATE_IN_ORDER, PATCH_LATER, PATCH_LAST, PATCH_EARLIER, IN_STEPS],
    ids=["one state", "after", "next state", "last state", "earlier state", "steps"],
)
def test_a_gate_opens_only_on_what_the_table_holds_after_the_attempts_of_all_its_processors(tmp_path, phases):
    world = shared(tmp_path, *phases)
    world.enqueue(FIRST, FIRST)
    world.run()
    # The job of `base` has broken what `patch` is to hold, whose job mends it
    assert [name for name in jobs(world) if name != "team"] == ["base", "patch"]
    assert world.dates()[FIRST].state == "done"
    assert verdict(world, "base") is verdict(world, "patch") is Verdict.COMPLETE
    # And nothing was computed from a broken table, but where its processors come after it
    if phases is not PATCH_LAST:
        assert jobs(world) == ["base", "patch", "team"]


def test_a_batch_makes_the_evidence_of_all_its_dates_old(tmp_path):
    several = base(batch=3, command=["true", "{start}", "{end}"])
    world = shared(tmp_path, phase("raw", several, patch(after=["base"])), TEAM)
    world.enqueue(FIRST, LAST)
    world.run()
    assert len(world.executor.launched[0].env["BACKFILLD_DATES"].split(",")) == len(DATES)
    assert all(jobs(world, date) == ["base", "patch", "team"] for date in DATES)


def test_a_month_makes_the_evidence_of_all_its_dates_old(tmp_path):
    monthly = base(period="month", command=["true", "{start}", "{end}"])
    world = shared(tmp_path, phase("raw", monthly), phase("clean", patch()), TEAM)
    world.enqueue(FIRST, LAST)
    world.run()
    assert all(jobs(world, date) == ["base", "patch", "team"] for date in DATES)


@pytest.mark.parametrize("code", [1, None], ids=["failed", "lost"])
def test_an_attempt_that_failed_or_was_lost_may_have_written_too(tmp_path, code):
    world = shared(tmp_path, *ONE_STATE)
    world.script = job(world, code=code)
    world.enqueue(FIRST, FIRST)
    world.run()
    assert jobs(world) == ["base", "patch", "team"]


def test_a_rerun_of_one_processor_of_a_done_date_runs_the_other_one_that_it_broke(tmp_path):
    # Given a done date
    world = shared(tmp_path, *PATCH_LATER)
    world.enqueue(FIRST, FIRST)
    world.run()
    # When one of its processors runs alone
    world.enqueue(FIRST, FIRST, force=True, selection=("base",))
    world.run()
    # Then the date says what it lacks now
    assert jobs(world) == ["base", "patch", "team", "base"]
    assert verdict(world, "patch") is Verdict.EXCESS
    assert world.dates()[FIRST].outcome == "selected"
    # And a retry mends it
    world.commands.retry_date(FIRST, by=OPERATOR)
    world.run()
    assert jobs(world)[4:] == ["patch"]
    assert world.dates()[FIRST].outcome == "complete"


def foreign_writes(world: World) -> list[str]:
    return sorted(event.processor for event in world.events if isinstance(event, ForeignWrites))


@pytest.mark.parametrize("billed", [False, True])
@pytest.mark.parametrize("phases", [ONE_STATE_IN_ORDER, PATCH_LATER, PATCH_LAST, IN_STEPS])
def test_attempts_of_one_processor_are_no_foreign_writes_of_another_and_make_it_not_stale(
    tmp_path, phases, billed
):
    world = shared(tmp_path, *phases)
    world.warehouse.bills_stamps = billed
    world.enqueue(FIRST, LAST)
    world.run()
    world.time += WEEK
    assert world.engine.sweeper.run() == len(DATES)
    assert foreign_writes(world) == []
    assert [row.stale_at for row in world.dates().values()] == [None] * len(DATES)


def test_a_rerun_after_a_sweep_is_no_foreign_write_of_another_processor(tmp_path):
    # Given a done date whose stamps a sweep has read, where gates read none
    world = shared(tmp_path, *PATCH_LAST)
    world.warehouse.bills_stamps = True
    world.enqueue(FIRST, FIRST)
    world.run()
    world.time += WEEK
    assert world.engine.sweeper.run() == 1
    # When the last processor of its table runs again
    world.enqueue(FIRST, FIRST, force=True, selection=("patch",))
    world.run()
    world.time += WEEK
    assert world.engine.sweeper.run() == 1
    # Then what was computed from the first one is not stale: a retry of it would go on without end
    assert jobs(world) == ["base", "team", "patch", "patch"]
    assert foreign_writes(world) == []
    assert world.dates()[FIRST].stale_at is None


def test_a_write_by_others_is_one_of_each_processor_of_the_table(tmp_path):
    world = shared(tmp_path, *ONE_STATE_IN_ORDER)
    world.enqueue(FIRST, LAST)
    world.run()
    world.warehouse.rows[TABLE, FIRST] = 4
    world.time += WEEK
    assert world.engine.sweeper.run() == len(DATES)
    assert foreign_writes(world) == ["base", "patch"]
    assert {date for date, row in world.dates().items() if row.stale_at is not None} == {FIRST}


def test_processors_that_cannot_both_be_complete_end_the_date_after_their_attempts(tmp_path):
    world = shared(
        tmp_path, phase("raw", base()), phase("clean", patch(most=2)), TEAM, jobs={"max_attempts": 3}
    )
    world.enqueue(FIRST, FIRST)
    world.run()
    assert world.dates()[FIRST].state == "failed"
    assert len(jobs(world)) <= 6


def test_what_is_in_other_tables_is_not_queried_again(tmp_path):
    # Given a complete output of another table beside two that share one
    world = shared(tmp_path, phase("raw", base(), patch(after=["base"]), processor("odds")), TEAM)
    world.warehouse.rows["odds", FIRST] = 1
    world.enqueue(FIRST, FIRST)
    world.run()
    # Then it is queried when the date is admitted, and `patch` after each job
    assert len(world.warehouse.answers["odds", FIRST]) == 1
    assert len(world.warehouse.answers["patch", FIRST]) == 3


def test_what_may_start_waits_for_no_other_processor_of_its_state(tmp_path):
    # Given a table of two processors that are incomplete, whose jobs run one after the other
    world = shared(tmp_path, *ONE_STATE)
    world.warehouse.rows[TABLE, FIRST] = 0
    world.enqueue(FIRST, FIRST)
    began = world.time
    world.run()
    # Then the second one starts as soon as the first has ended
    assert jobs(world) == ["base", "patch", "team"]
    assert world.time - began <= 3 * 10.0 + 1
