"""Cascades: what was computed before an earlier date was repaired is marked, and computed again if asked."""

import datetime as dt
import itertools

import pytest

from backfilld.state.records import Mark
from backfilld.state.store import checks, stale_marks, transitions
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.season import fails
from tests.simulation.world import ME, Work, World

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(6)}
DAYS = sorted(SEASON)
FIRST, REPAIRED, NEXT, LAST = DAYS[0], DAYS[2], DAYS[3], DAYS[-1]


def shape(lookback="season"):
    return pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("team"), processor("player")),
        phase("phase4", processor("zones"), processor("cache"), order="sequential", lookback=lookback),
    )


def done(world: World) -> World:
    """All dates done by our own jobs."""
    world.enqueue(FIRST, LAST)
    world.run()
    assert not world.live()
    world.executor.launched.clear()
    world.time += 3600
    return world


@pytest.fixture
def world(tmp_path):
    return done(World(shape(), SEASON, tmp_path))


def stale(world: World) -> list[dt.date]:
    return [date for date, row in world.dates().items() if row.stale_at is not None]


def causes(world: World, date: dt.date) -> dict[str, list[tuple[dt.date, str]]]:
    """What made each output of a date stale."""
    with world.db.read() as tx:
        outputs = stale_marks.stale_outputs(tx, [date])[date]
    return {name: [(cause.date, cause.processor) for cause in of_one] for name, of_one in outputs.items()}


def launched(world: World) -> list[tuple[str, str]]:
    return [(job.env["BACKFILLD_DATE"], job.env["BACKFILLD_PROCESSOR"]) for job in world.executor.launched]


def damage(world: World, name: str = "team", date: dt.date = REPAIRED) -> None:
    world.fill(name, date, rows=0)


def steps(*dates: dt.date) -> list[tuple[str, str]]:
    return [(str(date), name) for date in dates for name in ("zones", "cache")]


def test_an_earlier_date_that_is_not_expected_any_more_marks_nothing(tmp_path):
    # Given rows that are computed from those of an earlier date
    calendar = dict(SEASON)
    world = done(World(shape(), calendar, tmp_path))
    # When the calendar loses that date, and its rows stay as they are
    calendar[REPAIRED] = 0
    world.time += 7 * 86_400
    world.engine.sweeper.run()
    world.run(limit=200)
    # Then what is computed from them is as good as before
    with world.db.read() as tx:
        assert checks.for_dates(tx, [REPAIRED])[REPAIRED]["team"].verdict == "not_expected"
    assert stale(world) == []


def test_a_first_backfill_marks_nothing(world):
    assert stale(world) == []


def test_repairing_a_date_marks_it_and_the_later_ones_that_look_back_at_it(world):
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    # Then only the lost rows were written again, and what was computed from them is stale
    assert launched(world) == [(str(REPAIRED), "team")]
    assert stale(world) == DAYS[2:]
    row = world.dates()[LAST]
    assert row.state == "done"
    assert causes(world, LAST) == {"zones": [(REPAIRED, "team")], "cache": [(REPAIRED, "team")]}
    assert row.stale_at == pytest.approx(world.time, abs=60)


def test_the_mark_reaches_as_far_as_the_lookback(tmp_path):
    world = done(World(shape(lookback=1), SEASON, tmp_path))
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    assert stale(world) == [REPAIRED, NEXT]


def test_a_job_that_changes_no_row_marks_nothing(world):
    damage(world)
    world.script = lambda job: Work(code=1)
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    assert world.dates()[REPAIRED].outcome == "exhausted"
    assert stale(world) == []


def test_repairing_a_source_marks_what_was_computed_from_it_directly_or_through_others(world):
    damage(world, "box")
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    assert launched(world) == [(str(REPAIRED), "box")]
    assert stale(world) == DAYS[2:]
    of_summaries = [(REPAIRED, "player"), (REPAIRED, "team")]
    assert causes(world, LAST) == {"zones": of_summaries, "cache": of_summaries}
    # And a retry of what is stale computes the summaries of that date again, and all that is built on them
    world.executor.launched.clear()
    retry_marked(world.commands, Mark.STALE, FIRST, LAST)
    world.run()
    assert sorted(launched(world)[:2]) == [(str(REPAIRED), "player"), (str(REPAIRED), "team")]
    assert sorted(launched(world)[2:]) == sorted(steps(*DAYS[2:]))
    assert stale(world) == []


def test_what_cannot_be_counted_while_its_source_is_repaired_is_stale_nonetheless(world):
    # Given a date whose sequential outputs cannot be counted
    damage(world)
    world.warehouse.broken |= {"zones": "denied", "cache": "denied"}
    # When its source is repaired, and they are counted again later
    world.commands.retry_date(REPAIRED, by=ME)
    for _ in range(5):
        world.step()
    world.warehouse.broken.clear()
    world.run()
    # Then they are known to be from before
    assert world.dates()[REPAIRED].outcome == "complete"
    assert stale(world) == DAYS[2:]


def test_a_job_whose_rows_are_found_good_only_later_is_a_repair_as_well(tmp_path):
    # Given a summary whose table cannot be queried once its job has run again
    steps = phase("phase4", processor("zones"), order="sequential", lookback="season")
    world = done(
        World(
            pipeline(phase("p2", processor("box")), phase("p3", processor("team")), steps), SEASON, tmp_path
        )
    )

    def script(job):
        name = job.env["BACKFILLD_PROCESSOR"]

        def write():
            world.fill(name, REPAIRED)
            if name == "team":
                world.warehouse.broken[name] = "locked"

        return Work(effect=write)

    world.script = script
    world.enqueue(REPAIRED, REPAIRED, force=True)
    for _ in range(20):
        world.step()
    assert launched(world)[-1] == (str(REPAIRED), "team")
    assert world.dates()[REPAIRED].waiting == "warehouse"
    assert stale(world) == DAYS[2:]  # its source has run again, and it has not ended
    # When it can be queried again
    world.warehouse.broken.clear()
    world.script = world.well
    world.run()
    # Then what was computed before that job is stale: not the date itself, which was forced
    assert stale(world) == [date for date in DAYS[2:] if date != REPAIRED]


def test_rows_that_somebody_else_changed_are_a_repair_too(world):
    world.warehouse.rows["team", REPAIRED] = 2
    world.time += 8 * 86400
    world.engine.sweeper.run()
    assert stale(world) == DAYS[2:]


def test_a_cascade_after_the_repair_runs_the_sequential_phase_of_the_stale_dates_alone(world):
    # Given a repair that has left marks
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    world.executor.launched.clear()
    # When the cascade is asked for
    world.commands.retry_date(REPAIRED, by=ME, cascades=True)
    world.run()
    # Then phase 4 ran once for each of them, and nothing else; the marks are gone
    assert sorted(launched(world)) == sorted(steps(*DAYS[2:]))
    assert stale(world) == []
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def test_a_cascade_together_with_the_repair_runs_what_it_makes_stale(world):
    damage(world)
    damage(world, "player")
    world.commands.retry_date(REPAIRED, by=ME, cascades=True)
    world.run()
    ran = launched(world)
    assert sorted(ran[:2]) == [(str(REPAIRED), "player"), (str(REPAIRED), "team")]
    assert sorted(ran[2:]) == sorted(steps(*DAYS[2:]))
    assert stale(world) == []
    with world.db.read() as tx:
        moves = transitions.history(tx, LAST)
    assert f"cascade of {REPAIRED}" in [move.reason for move in moves]


@pytest.mark.parametrize("by_mark", [True, False])
def test_what_was_accepted_of_a_stale_date_stays_accepted_when_it_is_computed_again(world, by_mark):
    # Given the last date, whose source is lost and accepted, and a repair that makes it stale
    damage(world, "box", LAST)
    world.time += 8 * 86400
    world.engine.sweeper.run()
    world.commands.accept(LAST, "box", by=ME, reason="lost")
    fails(world, "box", code=1)
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME, cascades=not by_mark)
    world.run()
    if by_mark:
        retry_marked(world.commands, Mark.STALE, FIRST, LAST)
        world.run()
    # Then the source is not run, and the date is done with its waiver
    assert stale(world) == []
    assert (str(LAST), "box") not in launched(world)
    assert world.dates()[LAST].outcome == "waived"


def test_a_cascade_ends_with_its_dates_and_a_later_repair_runs_nothing_by_itself(world):
    # Given a cascade that is over
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME, cascades=True)
    world.run()
    world.executor.launched.clear()
    # When somebody else changes the rows of its date
    world.fill("team", REPAIRED, rows=2)
    world.time += 8 * 86400
    world.engine.sweeper.run()
    world.run()
    # Then what is stale by that is marked, and waits for somebody to ask
    assert stale(world) == DAYS[2:]
    assert launched(world) == []


@pytest.mark.parametrize("cascades", [True, False])
def test_a_cascade_also_reruns_what_it_makes_stale_on_a_date_that_is_under_way(world, cascades):
    # Given a date that has computed `zones`, and waits for a hold of `cache`
    world.commands.hold("processor", "cache", by=ME, reason="being repaired")
    world.commands.retry_date(LAST, by=ME, force=True)
    world.run()
    assert world.dates()[LAST].state == "phase4-step-2"
    world.executor.launched.clear()
    # When an earlier date is repaired
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME, cascades=cascades)
    world.run()
    world.commands.release("processor", "cache", by=ME)
    world.run()
    # Then `zones` runs again where the repair cascades, and is stale otherwise
    assert ((str(LAST), "zones") in launched(world)) == cascades
    assert (LAST in stale(world)) == (not cascades)
    assert launched(world).count((str(LAST), "cache")) == 1


def test_a_plain_retry_of_a_stale_date_keeps_the_mark_and_a_forced_one_clears_it(world):
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    world.commands.retry_date(LAST, by=ME)
    world.run()
    assert LAST in stale(world)
    world.commands.retry_date(LAST, by=ME, force=True)
    world.run()
    assert LAST not in stale(world)


def test_a_second_repair_while_dates_are_computed_again_marks_them_anew(world):
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME, cascades=True)
    while (str(NEXT), "zones") not in launched(world):
        assert world.step()
    # When an even earlier date is repaired meanwhile
    damage(world, date=FIRST)
    world.commands.retry_date(FIRST, by=ME)
    world.run()
    # Then what began before is stale again
    assert NEXT in stale(world)
    assert set(itertools.chain(*causes(world, NEXT).values())) == {(FIRST, "team"), (NEXT, "zones")}


def test_where_one_sequential_phase_follows_another_a_cascade_leaves_no_mark(tmp_path):
    # Given two phases that look back, one computed from the other, and a repair before both
    shapes = pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("zones"), order="sequential"),
        phase("phase4", processor("cache"), order="sequential"),
    )
    world = done(World(shapes, SEASON, tmp_path))
    damage(world, "box")
    # When all that is stale is computed again
    world.commands.retry_date(REPAIRED, by=ME, cascades=True)
    world.run()
    # Then each output was computed once, and none is stale for being computed before its own successor
    assert sorted(launched(world)[1:]) == sorted(steps(*DAYS[2:]))
    assert stale(world) == []


def test_a_restart_in_the_middle_loses_neither_mark_nor_cascade(world):
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME, cascades=True)
    for _ in itertools.count():
        if not world.step():
            break
        world.start()
    assert stale(world) == []
    assert set(steps(*DAYS[2:])) <= set(launched(world))
