"""An input that vanishes after its query is the cause that a date waits for and names."""

import datetime as dt

import pytest

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.store import transitions
from tests.factories import phase, pipeline, processor
from tests.simulation.world import ME, Work, World

FIRST = dt.date(2021, 10, 19)
DAYS = [FIRST + dt.timedelta(days=n) for n in range(4)]
SOURCES = {"players": "box", "report": "players"}


def shape(**players):
    return pipeline(
        phase("raw", processor("box")),
        phase("marts", processor("players", needs=[{"of": "box", "days_back": 2}], **players)),
        phase("export", processor("report")),
        jobs={"backoff": "10s"},
    )


@pytest.fixture
def world(tmp_path):
    return built(tmp_path)


def built(tmp_path, **players) -> World:
    """A world whose summaries need the rows of their date and of the two dates before."""
    world = World(shape(**players), dict.fromkeys(DAYS, 5), tmp_path)
    world.script = lambda job: computed(world, job)
    return world


def computed(world: World, job) -> Work:
    """A job that writes nothing where an input has no rows."""
    name, date = job.env["BACKFILLD_PROCESSOR"], dt.date.fromisoformat(job.env["BACKFILLD_DATE"])
    window = [date - dt.timedelta(days=n) for n in range(3)] if name == "players" else []
    there = all(world.warehouse.rows.get(("box", day)) for day in window if day in DAYS)
    return world.well(job) if there else Work()


def vanish_before_players(world: World, date: dt.date, *, of: dt.date, times: int = 1) -> None:
    """The rows of `box` of a date are lost just when the job of `players` starts."""
    left = [times]

    def script(job):
        running = (job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"])
        if running == ("players", str(date)) and left[0]:
            left[0] -= 1
            world.fill("box", of, rows=0)
        return computed(world, job)

    world.script = script


def sentence(world: World, date: dt.date) -> str:
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]])[date]


def test_an_input_of_its_own_date_that_vanished_is_filled_again_before_the_date_fails(world):
    vanish_before_players(world, FIRST, of=FIRST)
    world.enqueue(FIRST, FIRST)
    world.run()
    # Then the date went back to the state of the input, and both ran again
    assert world.dates()[FIRST].outcome == "complete"
    assert [name for name, _ in world.attempts(FIRST)] == [
        "box",
        "players",
        "players",
        "box",
        "players",
        "report",
    ]
    with world.db.read() as tx:
        reasons = [move.reason for move in transitions.history(tx, FIRST) if move.trigger == "readmit"]
    assert [reason.partition(":")[0] for reason in reasons] == ["box is no_data"]


def test_a_run_without_its_input_is_not_trusted_to_have_found_no_data(tmp_path):
    # Given a job that fails, and whose input is gone when it runs again and finds nothing
    world = built(tmp_path, no_data="trust")
    first = [Work(code=1)]
    vanish_before_players(world, FIRST, of=FIRST)
    vanishing = world.script
    world.script = lambda job: (
        first.pop() if first and job.env["BACKFILLD_PROCESSOR"] == "players" else vanishing(job)
    )
    world.enqueue(FIRST, FIRST)
    world.run()
    # Then it runs once more when the input is back
    assert world.dates()[FIRST].outcome == "complete"
    names = [name for name, _ in world.attempts(FIRST)]
    assert names == ["box", "players", "players", "box", "players", "report"]


def test_an_input_that_vanishes_each_time_fails_its_date_by_its_own_name(world):
    vanish_before_players(world, FIRST, of=FIRST, times=100)
    world.enqueue(FIRST, FIRST)
    world.run()
    row = world.dates()[FIRST]
    assert row.state == "failed"
    assert row.reason.startswith("box: ")


def test_an_input_of_a_done_date_that_vanished_is_waited_for_by_name_with_the_remedy(world):
    world.enqueue(FIRST, DAYS[1])
    world.run()
    vanish_before_players(world, DAYS[2], of=FIRST)
    world.enqueue(DAYS[2], DAYS[2])
    world.run()
    # Then the date names the input that is gone, and that date says so itself
    assert world.dates()[DAYS[2]].state == "marts"
    told = sentence(world, DAYS[2])
    assert told.startswith(f"blocked by {FIRST}, which is done, but box is no_data; backfilld ")
    assert world.dates()[FIRST].regressed.startswith("box is no_data")
    # When that one is retried, the date goes on with all its attempts
    world.commands.retry_date(FIRST, by=ME)
    world.run()
    assert world.dates()[DAYS[2]].outcome == "complete"


def test_an_output_is_not_waived_by_its_priority_while_its_input_is_gone(tmp_path):
    world = built(tmp_path, priority="fallback")
    vanish_before_players(world, FIRST, of=FIRST)
    world.enqueue(FIRST, FIRST)
    world.run()
    assert world.dates()[FIRST].outcome == "complete"


def test_a_date_whose_inputs_are_there_fails_as_before_and_asks_about_them_once(world):
    world.script = lambda job: world.well(job) if job.env["BACKFILLD_PROCESSOR"] == "box" else Work()
    world.enqueue(FIRST, FIRST)
    world.run()
    row = world.dates()[FIRST]
    assert (row.state, row.outcome) == ("failed", "blocked")
    assert row.reason.startswith("players: no data")


@pytest.mark.parametrize(("is_there", "runs"), [(True, 1), (False, 2)])
def test_an_input_that_a_retry_queries_again_gives_no_attempt_back_unless_it_is_gone(
    tmp_path, is_there, runs
):
    # Given a date that goes on without an output, and waits for an earlier one that failed after its input
    made = pipeline(
        phase("raw", processor("box")),
        phase("marts", processor("players", needs=[{"of": "box", "days_back": 2}], priority="fallback")),
        phase("export", processor("report", depends_on_past=True)),
        jobs={"max_attempts": 1},
    )
    world = World(made, dict.fromkeys(DAYS, 5), tmp_path)
    fails = {("players", str(DAYS[1])), ("report", str(FIRST))}

    def script(job):
        running = (job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"])
        if running in fails:
            fails.remove(running)
            return Work(code=1)
        return world.well(job)

    world.script = script
    receipt = world.enqueue(FIRST, DAYS[1])
    world.run()
    assert (world.dates()[FIRST].state, world.dates()[DAYS[1]].state) == ("failed", "marts")
    # When the earlier one is retried, and the date is looked at before the input has been queried again
    if not is_there:
        world.fill("box", FIRST, rows=0)
    world.commands.retry_date(FIRST, by=ME)
    world.engine.tick()
    world.commands.pause(receipt.id, by=ME)
    world.commands.resume(receipt.id, by=ME)
    world.engine.tick()
    world.run()
    # Then the output is tried again only where its input was gone
    tried = [name for name, _ in world.attempts(DAYS[1]) if name == "players"]
    assert len(tried) == runs
    assert world.dates()[DAYS[1]].state == "done"


def test_a_processor_beside_one_whose_input_has_vanished_has_its_retry(tmp_path):
    # Given a date of which one job fails without its input, while another one waits for its retry
    players = processor("players", needs=[{"of": "box", "days_back": 1}], max_attempts=1)
    raw, marts = phase("raw", processor("box")), phase("marts", players, processor("teams", backoff="1h"))
    world = World(pipeline(raw, marts, jobs={"confirm_after": "0s"}), dict.fromkeys(DAYS, 5), tmp_path)
    world.enqueue(FIRST, FIRST)
    world.run()
    failing = {"players": 1, "teams": 1}

    def script(job):
        name = job.env["BACKFILLD_PROCESSOR"]
        if not failing.pop(name, 0):
            return world.well(job)
        if name == "players":
            world.fill("box", FIRST, rows=0)
        return Work(code=1, seconds=60.0 if name == "players" else 10.0)

    world.script = script
    world.enqueue(DAYS[1], DAYS[1])
    world.run()
    # Then that one is retried while the date waits for the input
    assert sentence(world, DAYS[1]).startswith(f"blocked by {FIRST}")
    ran = [one for one in world.attempts(DAYS[1]) if one[0] == "teams"]
    assert ran == [("teams", "exited 1"), ("teams", "exited 0")]
