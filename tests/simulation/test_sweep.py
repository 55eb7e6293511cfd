"""The sweep: done dates are looked at again, at a pace, and what is no longer complete says so."""

import datetime as dt
import itertools

import pytest
import sqlalchemy as sa

from backfilld.daemon.engine.revalidation import BATCH
from backfilld.daemon.event_types import Incident
from backfilld.state.records import Mark
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.store import done_date_rechecks
from backfilld.state.store.schema import metadata
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.world import ME, World

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(6)}
DAY, LAST = OPENER + dt.timedelta(days=2), max(SEASON)
WEEK = 7 * 86400.0


def shape(**keys):
    return pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("team")),
        phase("phase4", processor("zones"), order="sequential"),
        **keys,
    )


def done(world: World) -> World:
    """All dates done: their tables were complete from the start."""
    for name, date in itertools.product(world.pipeline.processors, SEASON):
        world.fill(name, date)
    world.enqueue(min(SEASON), max(SEASON))
    world.run()
    assert not world.live()
    return world


@pytest.fixture
def world(tmp_path):
    return done(World(shape(), SEASON, tmp_path))


def asked(world: World, duty) -> int:
    """How many queries about tables a duty sends."""
    before = world.warehouse.questions - world.warehouse.calendar_questions
    duty()
    return world.warehouse.questions - world.warehouse.calendar_questions - before


def test_every_done_date_is_looked_at_again_once_a_week_in_one_question(world):
    # Given dates that ended just now: nothing is due, and nothing is asked
    assert asked(world, world.engine.sweeper.run) == 0
    # When a week has passed
    world.time += WEEK
    assert asked(world, world.engine.sweeper.run) == 1
    # Then the next look is a week away
    assert asked(world, world.engine.sweeper.run) == 0
    world.time += WEEK - 60
    assert asked(world, world.engine.sweeper.run) == 0
    world.time += 60
    assert asked(world, world.engine.sweeper.run) == 1
    assert not world.executor.launched


def test_many_dates_are_spread_over_ticks_of_bounded_size(world, monkeypatch):
    monkeypatch.setattr("backfilld.daemon.engine.revalidation.BATCH", 4)
    world.time += WEEK
    assert [world.engine.sweeper.run() for _ in range(3)] == [4, 2, 0]
    assert BATCH == 200


def test_the_next_date_is_found_by_one_seek_of_an_index(world):
    with world.db.read() as tx:
        for statement in (done_date_rechecks._NEXT, done_date_rechecks._UNCHECKED_SINCE):
            query = str(statement.compile(tx, compile_kwargs={"render_postcompile": True}))
            values = (0.0, 1, 0)[3 - query.count("?") :]
            plan = [row[-1] for row in tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values)]
            assert any("INDEX dates_last_checked" in line for line in plan), plan


@pytest.mark.parametrize("within", ["1m", "90s", "10m"])
def test_no_done_date_is_unchecked_for_longer_than_the_period_where_the_sweep_looks_once_a_minute(
    tmp_path, within
):
    # Given a daemon whose sweep looks each minute, and not when a date comes due
    world = done(World(shape(engine={"revalidate_within": within}), SEASON, tmp_path))
    longest, limit = 0.0, world.pipeline.engine.revalidate_within
    world.time += 31
    for _ in range(25):
        with world.db.read() as tx:
            longest = max(longest, world.time - done_date_rechecks.next_unchecked(tx))
        world.engine.sweeper.run()
        world.time += 60
    # Then no check is older than the period, and none is made more often than needed
    assert limit - 60 <= longest <= limit


def test_the_sweep_can_be_switched_off(tmp_path):
    world = done(World(shape(engine={"revalidate_within": "0s"}), SEASON, tmp_path))
    world.time += 100 * WEEK
    assert asked(world, world.engine.sweeper.run) == 0


def test_a_date_whose_partition_expired_shows_regressed_and_runs_only_if_asked(world):
    # Given a partition that expired behind our back
    world.fill("box", DAY, rows=0)
    world.warehouse.closed["box", DAY] = HistoryRun(
        succeeded=True, started_at=world.time - 60, ended_at=world.time
    )
    world.time += WEEK
    # When the sweep comes by
    world.engine.sweeper.run()
    world.run()
    # Then the date says what it lacks, stays done, and nothing has run
    row = world.dates()[DAY]
    assert row.state == "done"
    assert row.regressed == "box is no_data: the latest run succeeded, but there are no rows"
    assert [e.text for e in world.events if isinstance(e, Incident)] == [
        f"done dates that are no longer complete: 1, first {DAY}: {row.regressed}"
    ]
    assert not world.executor.launched
    # When it is asked for
    assert retry_marked(world.commands, Mark.REGRESSED, OPENER, LAST) == [DAY]
    world.run()
    # Then it runs what it lacks, and shows nothing any more
    assert [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched] == ["box"]
    assert (world.dates()[DAY].state, world.dates()[DAY].regressed) == ("done", "")


def test_damage_that_was_mended_elsewhere_is_forgotten_at_the_next_look(world):
    world.fill("zones", DAY, rows=0)
    world.time += WEEK
    world.engine.sweeper.run()
    assert world.dates()[DAY].regressed
    world.fill("zones", DAY)
    world.time += WEEK
    world.engine.sweeper.run()
    assert world.dates()[DAY].regressed == ""


def test_what_a_table_lacked_is_forgotten_once_the_file_names_another(world):
    # Given a date whose table has lost its rows
    world.fill("zones", DAY, rows=0)
    world.time += WEEK
    world.engine.sweeper.run()
    assert world.dates()[DAY].regressed
    # When the processor writes another table from now on, which nobody has queried yet
    world.pipeline = pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("team")),
        phase("phase4", processor("zones", table="nba.zones_v2"), order="sequential"),
    )
    world.start()
    # Then the date does not repeat what was said of the old one
    assert world.dates()[DAY].regressed == ""


def test_an_accepted_gap_is_no_regression(world):
    world.fill("zones", DAY, rows=0)
    world.time += WEEK
    world.engine.sweeper.run()
    world.commands.accept(DAY, "zones", by=ME, reason="will not come back")
    assert world.dates()[DAY].regressed == ""


def test_an_error_is_no_answer_and_changes_no_verdict(world):
    # Given a table that cannot be asked, and a whole warehouse that cannot
    world.warehouse.broken["box"] = "table is locked"
    world.time += WEEK
    world.engine.sweeper.run()
    with world.db.read() as tx:
        verdicts = set(
            tx.execute(sa.text("SELECT verdict, query_due_at FROM checks WHERE processor = 'box'"))
        )
    assert verdicts == {("complete", None)}
    assert not any(row.regressed for row in world.dates().values())
    world.warehouse.down = "refused"
    world.time += WEEK
    assert world.engine.sweeper.run() == 0
    assert [hold.kind for hold in world.commands.holds()] == ["warehouse"]
    assert asked(world, world.engine.sweeper.run) == 0, "it waits like everyone"
    assert not any(row.regressed for row in world.dates().values())


def test_the_sweep_stands_back_while_live_dates_have_questions(world):
    world.time += WEEK
    world.commands.retry_date(DAY, by=ME)
    world.engine.tick()
    assert asked(world, world.engine.sweeper.run) == 0
    world.run()
    assert asked(world, world.engine.sweeper.run) == 1


def test_a_request_for_a_regressed_date_finds_out_too(world):
    world.fill("zones", DAY, rows=0)
    found = world.enqueue(DAY, DAY)
    assert found.details[0].reason == "was done, but: zones never_ran"
    world.run()
    assert (world.dates()[DAY].outcome, world.dates()[DAY].regressed) == ("complete", "")


def everything(world):
    """All rows of all tables of the state database."""
    with world.db.read() as tx:
        return {t.name: tx.execute(sa.select(t)).all() for t in metadata.sorted_tables}


@pytest.mark.parametrize("selection", [None, ("zones",), ("box",)])
def test_a_dry_run_says_what_a_request_would_do_and_changes_nothing_in_the_state_database(world, selection):
    # Given damage, another calendar, and an answer of the calendar that is old
    world.fill("zones", DAY, rows=0)
    world.warehouse.calendar = {**SEASON, LAST: 0}
    world.time += 3600.0
    before = everything(world)
    # When a dry run asks for the dates, and for one that was never requested
    found = world.enqueue(DAY, LAST + dt.timedelta(days=1), dry_run=True, selection=selection)
    # Then it knows the damage and the calendar as they are now
    outcomes = {detail.date: (detail.outcome, detail.reason) for detail in found.details}
    damaged = ("enqueued", "was done, but: zones never_ran")
    complete_as_selected = ("already_done", "not selected: zones never_ran")
    assert outcomes[DAY] == (complete_as_selected if selection == ("box",) else damaged)
    assert outcomes[LAST][0] == "not_expected"
    # And nothing is stored: the real request finds it again
    assert everything(world) == before
    assert world.enqueue(DAY, DAY, selection=selection).details[0].outcome == outcomes[DAY][0]


def test_a_dry_run_answers_for_a_date_that_is_retried_while_it_queries(world):
    evidence = world.warehouse.evidence

    def retried(*args, **keys):
        world.commands.retry_date(DAY, by=ME)
        return evidence(*args, **keys)

    world.warehouse.evidence = retried
    (detail,) = world.enqueue(DAY, DAY, dry_run=True).details
    assert detail.outcome == "joined"


def test_a_date_that_could_not_be_asked_is_asked_again_soon_and_not_only_after_a_week(world):
    # Given a table that cannot be asked when the sweep comes
    world.warehouse.broken["box"] = "table is locked"
    world.time += WEEK
    assert world.engine.sweeper.run() == len(SEASON)
    # Then its dates are not asked about at each tick
    world.time += 60
    assert asked(world, world.engine.sweeper.run) == 0
    # But after the recheck interval, and rows that were lost meanwhile are noticed
    del world.warehouse.broken["box"]
    world.fill("box", DAY, rows=0)
    world.time += world.pipeline.engine.recheck_interval
    assert world.engine.sweeper.run() == len(SEASON)
    assert world.dates()[DAY].regressed.startswith("box is never_ran")
    # And once answered they have a week again
    world.time += WEEK - 3600
    assert asked(world, world.engine.sweeper.run) == 0


def test_dates_that_cannot_be_asked_do_not_keep_the_sweep_from_the_others(world, monkeypatch):
    monkeypatch.setattr("backfilld.daemon.engine.revalidation.BATCH", 4)
    world.warehouse.broken["box"] = "table is locked"
    world.time += WEEK
    # Two of the first four are asked about once more with the other two
    assert [world.engine.sweeper.run() for _ in range(3)] == [4, 4, 0]
