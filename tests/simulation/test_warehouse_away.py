"""A warehouse that is away, spent, late, or asked about the same again: what it costs, and what waits."""

import datetime as dt
from pathlib import Path

import pytest

from backfilld.daemon.engine.collect_evidence import FIRST_PAUSE
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.daemon.warehouses.adapter import Answers, Wanted, WarehouseError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.store import holds
from tests.factories import phase, pipeline, processor
from tests.simulation.world import ME, Work, World

OPENER = dt.date(2021, 10, 19)
SEASON = {OPENER + dt.timedelta(days=n): 5 for n in range(8)}
LAST = max(SEASON)
HOUR = 3600.0


def shape(**jobs: object) -> Pipeline:
    """Two sources and two strict steps."""
    return pipeline(
        phase("phase2", processor("box"), processor("pbp", priority="fallback")),
        phase("phase4", processor("zones"), processor("cache"), order="sequential"),
        jobs={"slots": 4, "backoff": "10s", "idle_timeout": "2h", "timeout": "2h", **jobs},
    )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(shape(), SEASON, tmp_path)


def told(world: World) -> set[str]:
    """What the live dates say they wait for."""
    with world.db.read() as tx:
        return set(waiting_on(tx, world.context, world.live()).values())


def test_no_job_starts_while_the_warehouse_is_away_for_nobody_could_check_it(world: World) -> None:
    # Given jobs that write to the warehouse which is asked: while it is away, they fail
    well = world.script
    world.script = lambda job: Work(code=1) if world.warehouse.down else well(job)
    world.enqueue(OPENER, LAST)
    for _ in range(5):
        world.step()

    # When it is away for hours
    world.warehouse.down = "connection refused"
    begun, since = len(world.executor.launched), world.time
    while world.time < since + 6 * HOUR:
        world.step()

    # Then only what began before anybody knew has begun, and every date says why it waits
    assert len(world.executor.launched) - begun <= world.pipeline.jobs.slots
    assert all(
        text.startswith("the warehouse is not queried: connection refused; it is queried again at ")
        for text in told(world)
    )

    # And when it is back, nothing was paused and all end well
    world.warehouse.down = ""
    world.run()
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    with world.db.read() as tx:
        assert holds.all_holds(tx) == []


def test_while_one_table_cannot_be_queried_the_other_outputs_of_its_state_run_and_the_date_stays(
    world: World,
) -> None:
    # Given a damaged file of one of two sources
    world.warehouse.broken["box"] = "a.parquet: too small to be a Parquet file"
    world.enqueue(OPENER, OPENER)
    for _ in range(20):
        world.step()
    # Then the other one runs, and nothing else
    assert world.attempts(OPENER) == [("pbp", "exited 0")]
    assert (world.dates()[OPENER].state, world.dates()[OPENER].waiting) == ("phase2", "warehouse")
    # And once the file is gone, all is made
    del world.warehouse.broken["box"]
    world.run()
    assert world.dates()[OPENER].outcome == "complete"


def test_the_end_of_an_outage_is_seen_by_the_tick_though_nobody_has_a_question(world: World) -> None:
    # Given an outage that a look at done dates has met, and no question of a live one
    world.engine.validator.pause_queries(WarehouseError("connection refused"))
    assert not world.engine.has_due_query()
    # When it is time to ask again, and no alarm says so
    world.time += FIRST_PAUSE
    # Then whoever asks is woken, and lifts what keeps jobs from starting
    assert world.engine.has_due_query()
    world.engine.validate()
    assert world.commands.holds() == []
    assert not world.engine.has_due_query()


def test_a_spent_quota_parks_the_asking_until_it_begins_anew_and_says_so(world: World) -> None:
    # Given
    world.warehouse.down = "BigQuery: Quota exceeded: your project exceeded quota for query usage per day"
    world.warehouse.retry_at = world.time + 9 * HOUR
    midnight = dt.datetime.fromtimestamp(world.warehouse.retry_at, dt.UTC)
    again = f"it is queried again at {midnight:%Y-%m-%dT%H:%M:%SZ}"
    world.enqueue(OPENER, LAST)
    world.settle()
    asked = world.warehouse.questions

    # When the day goes on
    for _ in range(8):
        world.time += HOUR
        world.settle()

    # Then nobody asks, and everybody knows until when
    assert world.warehouse.questions == asked
    assert told(world) == {f"the warehouse is not queried: {world.warehouse.down}; {again}"}

    # And with the new day all end well
    world.warehouse.down = ""
    world.run()
    assert world.time >= midnight.timestamp()
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def test_a_quota_counts_until_when_it_was_last_refused_though_the_clock_was_set_back_since(
    world: World,
) -> None:
    # Given queries on hold until an hour that has come
    world.enqueue(OPENER, OPENER)
    world.tick()
    world.warehouse.down, world.warehouse.retry_at = "quota exceeded", world.time + HOUR
    world.settle()
    world.time = world.warehouse.retry_at + 1.0

    # When the clock is set back during the next query, which is refused for ten seconds
    def set_back(_: str) -> None:
        world.warehouse.point = lambda _: None
        world.time -= 2 * HOUR
        world.warehouse.retry_at = world.time + 10.0

    world.warehouse.point = set_back
    world.settle()

    # Then they are on hold for ten seconds
    with world.db.read() as tx:
        (hold,) = holds.all_holds(tx)
    assert hold.until == world.time + 10.0


def test_an_outage_that_nobody_has_a_question_about_any_more_holds_nothing_back(world: World) -> None:
    # Given work that may start, and a calendar that could not be asked for a request that was given up
    world.enqueue(OPENER, LAST)
    world.settle()
    with world.db.write() as tx:
        holds.place(
            tx, holds.WAREHOUSE, "", reason="down", actor="engine", now=world.time, until=world.time + 5
        )
    # Then
    world.run()
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def asked(folder: Path, seconds: float) -> tuple[int, int]:
    """Questions and attempts of a whole backfill whose jobs take so long."""
    folder.mkdir()
    world = World(shape(), SEASON, folder)
    well = world.script
    world.script = lambda job: Work(seconds=seconds, effect=well(job).effect)
    world.enqueue(OPENER, LAST)
    world.run()
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    return world.warehouse.questions, len(world.executor.launched)


def test_the_questions_of_a_backfill_grow_with_its_attempts_and_not_with_the_time_it_waits(
    tmp_path: Path,
) -> None:
    # Given the same backfill with jobs of ten seconds, and with jobs of an hour
    quick, attempts = asked(tmp_path / "quick", 10)
    slow, as_many = asked(tmp_path / "slow", HOUR)

    # Then 360 times the waiting costs no more than evidence that has become too old to act upon
    assert attempts == as_many == 4 * len(SEASON)
    assert quick <= attempts + 2, "the calendar, all that is there already, and one for each attempt"
    assert slow <= 2 * attempts + 2


def test_a_pause_of_a_week_asks_nothing(world: World) -> None:
    world.enqueue(OPENER, LAST)
    world.step()
    world.commands.pause_everything(by=ME, reason="holiday")
    world.run()
    before = world.warehouse.questions
    for _ in range(7):
        world.time += 24 * HOUR
        world.run()
    assert world.warehouse.questions == before
    world.commands.resume_everything(by=ME)
    world.run()
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def test_a_run_that_never_closed_holds_nobody_up_beyond_its_age(world: World) -> None:
    # Given a run of somebody else that crashed with its history open
    started = world.time
    world.warehouse.open["box", OPENER] = HistoryRun(succeeded=False, started_at=started)
    world.enqueue(OPENER, OPENER)
    world.run()
    # Then it was waited for as long as such a run may take, and no longer
    assert world.dates()[OPENER].outcome == "complete"
    assert started + 4 * HOUR <= world.time < started + 5 * HOUR


def test_what_our_first_attempt_left_open_does_not_hold_up_the_third(world: World) -> None:
    # Given a job that crashes with its history open, and later dies before it tells the history anything
    crashed: list[float] = []

    def script(job: Job) -> Work:
        if job.env["BACKFILLD_PROCESSOR"] == "box":
            if not crashed:
                world.warehouse.open["box", OPENER] = HistoryRun(succeeded=False, started_at=world.time + 1)
            crashed.append(world.time)
            return Work(code=1)
        return world.well(job)

    world.script = script
    world.enqueue(OPENER, OPENER)
    started = world.time
    world.run()
    # Then its own leftovers are known for what they are after each attempt
    assert len(crashed) == 3
    assert world.dates()[OPENER].outcome == "exhausted"
    assert world.time < started + HOUR


def test_rows_that_show_a_minute_late_are_found_by_the_query_that_confirms(tmp_path: Path) -> None:
    # Given a warehouse in which neither rows nor history show before a minute has passed
    world = World(shape(max_attempts=1, confirm_after="90s"), SEASON, tmp_path)
    late: list[tuple[float, str, dt.date]] = []
    ask = world.warehouse.evidence

    def evidence(wanted: Wanted, *, purpose: str, stamps: Wanted | None = None) -> Answers:
        for at, name, date in late:
            if at <= world.time:
                world.fill(name, date)
        return ask(wanted, purpose=purpose, stamps=stamps)

    def script(job: Job) -> Work:
        name, date = job.env["BACKFILLD_PROCESSOR"], dt.date.fromisoformat(job.env["BACKFILLD_DATE"])
        return Work(effect=lambda: late.append((world.time + 60, name, date)))

    world.warehouse.evidence = evidence  # type: ignore[method-assign]
    world.script = script
    world.enqueue(OPENER, LAST)
    world.run()

    # Then no job ran twice
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    assert len(world.executor.launched) == 4 * len(SEASON)
