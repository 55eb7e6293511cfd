"""The engine judges a ratio only against a satisfied reference, and never waits for good."""

import datetime as dt

import pytest

from backfilld.state.records import Sources
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.world import ME, World

DATES = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(2)]
RATIO = {"ratio": {"of": "players", "min": 1.0}}
FIVE = {"rows": [5, 5]}


def two_phases(**players):
    return pipeline(
        phase("mid", processor("players", expect=FIVE, **players)),
        phase("last", processor("cache", expect=RATIO)),
        jobs={"max_attempts": 1},
    )


def one_phase(**players):
    cache = processor("cache", after=["players"], expect=RATIO)
    return pipeline(
        phase("mid", processor("players", expect=FIVE, **players), cache), jobs={"max_attempts": 1}
    )


def writes(world, **rows):
    """Jobs that write so many rows."""

    def script(job):
        name, date = job.env["BACKFILLD_PROCESSOR"], dt.date.fromisoformat(job.env["BACKFILLD_DATE"])
        return Work(effect=lambda: world.fill(name, date, rows=rows[name]))

    world.script = script


def world_of(folder, shape):
    return World(shape, dict.fromkeys(DATES, 2), folder)


def verdicts(world, date):
    with world.db.read() as tx:
        return {name: c.verdict.value for name, c in checks.for_dates(tx, [date])[date].items()}


@pytest.mark.parametrize("shape", [two_phases, one_phase])
def test_what_is_there_beside_a_partial_reference_is_compared_only_once_that_is_complete(tmp_path, shape):
    # Given two tables with two rows each, of which the first should have five
    world = world_of(tmp_path, shape())
    writes(world, players=5, cache=5)
    world.fill("players", DATES[0], rows=2)
    world.fill("cache", DATES[0], rows=2)
    world.enqueue(DATES[0], DATES[0])
    world.settle()
    assert verdicts(world, DATES[0]) == {"players": "partial", "cache": "unknown"}
    # When all has run
    world.run(limit=100)
    # Then both ran, once
    assert world.attempts(DATES[0]) == [("players", "exited 0"), ("cache", "exited 0")]
    assert world.dates()[DATES[0]].outcome == "complete"


def test_no_job_of_the_reference_starts_while_an_external_run_writes_what_is_compared_with_it(tmp_path):
    # Given a run of somebody else that is open for an output with rows, whose reference never ran
    world = world_of(tmp_path, one_phase())
    writes(world, players=5, cache=5)
    world.fill("cache", DATES[0], rows=5)
    world.warehouse.open["cache", DATES[0]] = HistoryRun(succeeded=False, started_at=world.time)
    world.enqueue(DATES[0], DATES[0])
    world.settle()
    # Then the date waits for that run
    assert verdicts(world, DATES[0]) == {"players": "never_ran", "cache": "running"}
    assert (world.dates()[DATES[0]].waiting, world.attempts(DATES[0])) == ("open_run", [])
    # And after its end the reference is made, and what is compared with it is complete
    del world.warehouse.open["cache", DATES[0]]
    world.run(limit=100)
    assert world.attempts(DATES[0]) == [("players", "exited 0")]
    assert world.dates()[DATES[0]].outcome == "complete"


def test_no_external_run_is_waited_for_whose_output_is_complete_beside_a_waived_reference(tmp_path):
    # Given an open run of somebody else for an output with rows, whose reference passes by its priority
    last = phase("last", processor("cache", expect=RATIO), processor("report"))
    shape = pipeline(phase("mid", processor("players", expect=FIVE, priority="fallback")), last)
    world = world_of(tmp_path, shape)
    world.fill("cache", DATES[0], rows=1)
    world.warehouse.open["cache", DATES[0]] = HistoryRun(succeeded=False, started_at=world.time)
    world.enqueue(DATES[0], DATES[0], sources=Sources.CRITICAL)
    world.tick()
    world.engine.validate()
    world.tick()
    assert verdicts(world, DATES[0])["cache"] == "running"
    # When the date has passed without the reference
    world.run(limit=100)
    # Then the rows are compared with nothing and count, as rows do beside every open run
    assert (verdicts(world, DATES[0])["cache"], world.dates()[DATES[0]].outcome) == ("complete", "waived")
    assert world.attempts(DATES[0]) == [("report", "exited 0")]


@pytest.mark.parametrize("shape", [two_phases, one_phase])
def test_a_reference_that_a_priority_waives_is_not_compared_with_and_nothing_waits_for_good(tmp_path, shape):
    # Given a reference of priority fallback whose job writes too little
    world = world_of(tmp_path, shape(priority="fallback"))
    writes(world, players=2, cache=1)
    world.enqueue(DATES[0], DATES[0])
    world.run(limit=100)
    # Then the date ends with its waiver, and what is compared with it says why it was not
    row = world.dates()[DATES[0]]
    assert row.outcome == "waived"
    assert verdicts(world, DATES[0]) == {"players": "partial", "cache": "complete"}


def test_what_is_compared_with_a_waived_reference_waits_for_the_warehouse_and_not_for_a_slot(tmp_path):
    # Given a reference that may not run and is waived, and a warehouse that gives no answer after that
    world = world_of(tmp_path, two_phases(priority="fallback"))
    world.enqueue(DATES[0], DATES[0], sources=Sources.CRITICAL)
    world.engine.tick()
    world.engine.validate()
    world.warehouse.down = "connection refused"
    world.tick()
    # Then what is compared with it is queried once more before it runs, and its date says so
    assert world.dates()[DATES[0]].state == "last"
    assert world.dates()[DATES[0]].waiting == "verdict"


@pytest.mark.parametrize("shape", [two_phases, one_phase])
def test_an_accepted_reference_lets_what_is_compared_with_it_pass(tmp_path, shape):
    world = world_of(tmp_path, shape())
    writes(world, players=2, cache=1)
    world.enqueue(DATES[0], DATES[0])
    world.run(limit=100)
    assert world.dates()[DATES[0]].state == "failed"
    world.commands.accept(DATES[0], "players", by=ME, reason="lost")
    world.run(limit=100)
    assert world.dates()[DATES[0]].outcome == "waived"
    assert verdicts(world, DATES[0])["cache"] == "complete"


def test_a_reference_that_shrinks_unseen_is_queried_again_before_anything_is_compared_with_it(tmp_path):
    # Given a date whose reference was complete, when half of it is deleted and the other table asked about
    world = world_of(tmp_path, two_phases())
    for name in ("players", "cache"):
        world.fill(name, DATES[0], rows=5)
    world.enqueue(DATES[0], DATES[0])
    world.run(limit=20)
    world.fill("players", DATES[0], rows=3)
    with world.db.write() as tx:
        checks.request_check(tx, [(DATES[0], "cache")], world.time)
    world.run(limit=20)
    # Then both say so
    assert verdicts(world, DATES[0]) == {"players": "partial", "cache": "unknown"}
    assert world.dates()[DATES[0]].regressed.startswith("players is partial: 3 of 5 rows")
    # And both are complete again when it is whole
    world.fill("players", DATES[0], rows=5)
    with world.db.read() as tx:
        stored = list(checks.for_dates(tx, DATES[:1])[DATES[0]].values())
    world.engine.validator.revalidate(stored)
    assert verdicts(world, DATES[0]) == {"players": "complete", "cache": "complete"}
    assert world.dates()[DATES[0]].regressed == ""


def test_a_reference_that_is_lost_after_its_gate_opened_is_computed_again_for_the_live_date(tmp_path):
    # Given a date in the last phase, whose job runs
    world = world_of(tmp_path, two_phases())
    writes(world, players=5, cache=5)
    world.fill("players", DATES[0], rows=5)
    world.enqueue(DATES[0], DATES[0])
    world.settle()
    assert world.dates()[DATES[0]].state == "last"
    # When all rows of the reference are deleted before the job ends
    world.fill("players", DATES[0], rows=0)
    world.run(limit=100)
    # Then the date goes back for them, and ends complete after one attempt of each
    assert world.path(DATES[0]) == ["pending", "mid", "last", "pending", "mid", "last", "done"]
    assert world.attempts(DATES[0]) == [("cache", "exited 0"), ("players", "exited 0")]
    assert verdicts(world, DATES[0]) == {"players": "complete", "cache": "complete"}


def test_a_reference_that_is_lost_and_cannot_be_computed_ends_the_live_date(tmp_path):
    world = world_of(tmp_path, two_phases())
    writes(world, players=0, cache=5)
    world.fill("players", DATES[0], rows=5)
    world.enqueue(DATES[0], DATES[0])
    world.settle()
    world.fill("players", DATES[0], rows=0)
    world.run(limit=100)
    assert world.dates()[DATES[0]].state == "failed"
    assert world.dates()[DATES[0]].reason.startswith("players")


def test_a_processor_outside_of_since_and_until_is_passed_by_and_holds_no_later_date_up(tmp_path):
    shape = pipeline(
        phase("mid", processor("players", since=DATES[1])),
        phase("last", processor("cache"), order="sequential"),
    )
    world = world_of(tmp_path, shape)
    world.enqueue(DATES[1], DATES[1])
    world.run(limit=50)
    assert world.dates()[DATES[1]].outcome == "complete"
    world.enqueue(DATES[0], DATES[0])
    world.run(limit=50)
    assert [name for name, _ in world.attempts(DATES[0])] == ["cache"]
    assert verdicts(world, DATES[0])["players"] == "not_expected"
