"""Check commands (`expect.check`) beside queries and jobs: when one runs, and what it lets happen."""

import pytest

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.store import checks, holds
from tests.factories import phase, pipeline, processor
from tests.simulation.check_fakes import CheckResult
from tests.simulation.season import DAY, SEASON
from tests.simulation.world import ME, World

COMMAND = ["dbt", "test", "--select", "box"]
NAME = 'check "dbt test --select box"'


def file(**keys):
    """A source with a check command, and what is computed from it."""
    checked = processor("box", expect={"rows": [1, 9], "check": {"command": COMMAND}}, **keys.pop("box", {}))
    return pipeline(phase("raw", checked), phase("derived", processor("team")), **keys)


@pytest.fixture
def world(tmp_path):
    one = World(file(), SEASON, tmp_path)
    yield one
    one.db.close()


def shown(world, date=DAY):
    """Verdict and reason of the output."""
    with world.db.read() as tx:
        check = checks.for_dates(tx, [date])[date]["box"]
    return str(check.verdict), check.reason


def follow(world, made):
    """Start the daemon anew with another pipeline file."""
    world.pipeline = made
    world.start()


def waits(world):
    with world.db.read() as tx:
        return waiting_on(tx, world.context, world.live())[DAY]


def test_a_date_passes_once_its_check_has_exited_with_0(world):
    # Given an output that is complete by all other rules
    world.fill("box", DAY)
    world.enqueue(DAY, DAY)
    world.settle()
    # Then its check runs before anything is computed from it, and the date says so
    assert world.checks.started == [(DAY, "box")]
    assert shown(world) == ("unknown", f"{NAME} is running")
    assert waits(world) == f"{NAME} is running"
    assert world.attempts(DAY) == []
    # When it has exited with 0, then the date goes on, without an attempt of the output
    world.run()
    assert world.dates()[DAY].outcome == "complete"
    assert world.attempts(DAY) == [("team", "exited 0")]
    # And the output, which did not change, is not checked for each query
    assert world.checks.started == [(DAY, "box")]


def test_a_check_that_exits_with_1_is_degraded_and_its_job_runs_again(world):
    # Given a check that accepts only what the second job writes
    world.checks.script = lambda pair: CheckResult(
        0 if len(world.attempts(DAY)) > 1 else 1, detail="2 orders without a customer"
    )
    world.enqueue(DAY, DAY)
    world.run()
    assert world.dates()[DAY].outcome == "complete"
    assert [name for name, _ in world.attempts(DAY)] == ["box", "box", "team"]
    assert world.checks.started == [(DAY, "box")] * 2


def test_a_check_that_never_passes_fails_the_date_with_its_last_line(world):
    world.checks.script = lambda pair: CheckResult(1, detail="2 orders without a customer")
    world.enqueue(DAY, DAY)
    world.run()
    row = world.dates()[DAY]
    assert (row.outcome, row.reason) == (
        "exhausted",
        f"box: degraded: {NAME} exited 1: 2 orders without a customer; 3 attempts",
    )
    # And it ran once after each attempt
    assert len(world.checks.started) == 3


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (CheckResult(None, detail="did not end within 300 s"), f"{NAME} did not end within 300 s"),
        (
            CheckResult(127, detail="sh: no dbt"),
            f"{NAME} could not run its program, exit 127: sh: no dbt;"
            " correct expect.check.command, and reload",
        ),
        (CheckResult(137), f"{NAME} was killed by signal 9; run it by hand"),
    ],
)
def test_a_check_without_a_result_is_unknown_and_tried_again_after_recheck_interval(world, result, reason):
    world.fill("box", DAY)
    world.checks.script = lambda pair: result if len(world.checks.started) < 2 else CheckResult(0)
    world.enqueue(DAY, DAY)
    begin = world.time
    while len(world.checks.started) < 2 and world.step():
        pass
    # Then neither did a job run, nor did the date pass
    assert world.attempts(DAY) == []
    assert world.time - begin >= world.pipeline.engine.recheck_interval
    world.settle()
    assert shown(world)[0] == "unknown"
    world.run()
    assert len(world.checks.started) == 3
    assert world.dates()[DAY].outcome == "complete"


def test_an_output_that_changed_is_checked_again_and_one_that_did_not_is_not(world):
    # Given a done date
    world.enqueue(DAY, DAY)
    world.run()
    before = len(world.checks.started)
    # When the same output is queried again, then its check does not run again
    with world.db.write() as tx:
        checks.request_check(tx, [(DAY, "box")], world.time)
    world.run()
    assert (len(world.checks.started), shown(world)[0]) == (before, "complete")
    # When another run writes it, with as many rows, then its check runs and what it says counts
    world.fill("box", DAY)
    world.checks.script = lambda pair: CheckResult(1, detail="a row too many")
    with world.db.write() as tx:
        checks.request_check(tx, [(DAY, "box")], world.time)
    world.run()
    assert len(world.checks.started) == before + 1
    assert shown(world) == ("degraded", f"{NAME} exited 1: a row too many")
    assert world.dates()[DAY].regressed == f"box is degraded: {NAME} exited 1: a row too many"


def test_an_output_without_write_stamps_is_known_by_its_figures_and_by_the_attempts_on_it(world):
    world.warehouse.unprovable.add("box")
    world.enqueue(DAY, DAY)
    world.run()
    # When a forced job writes as many rows as before
    world.enqueue(DAY, DAY, force=True)
    world.run()
    # Then its check has run on both
    assert world.checks.started == [(DAY, "box")] * 2
    # When another run adds one
    world.fill("box", DAY, rows=2)
    with world.db.write() as tx:
        checks.request_check(tx, [(DAY, "box")], world.time)
    world.run()
    assert world.checks.started == [(DAY, "box")] * 3


@pytest.mark.parametrize(
    "changed",
    [{"box": {"command": ["true", "{date}"], "env": {"TARGET": "prod"}}}, {"box": {"table": "nba.box_2"}}],
)
def test_a_result_counts_for_its_command_environment_and_table_alone(world, changed):
    world.fill("box", DAY)
    world.enqueue(DAY, DAY)
    world.run()
    follow(world, file(**changed))
    world.enqueue(DAY, DAY)
    world.run()
    assert world.checks.started == [(DAY, "box")] * 2


def test_a_check_of_a_daemon_that_was_killed_runs_again(world):
    world.fill("box", DAY)
    world.enqueue(DAY, DAY)
    world.settle()
    assert world.checks.running
    # When the daemon is killed and starts again
    world.start()
    world.run()
    # Then it ran twice, and its result counts
    assert world.checks.started == [(DAY, "box")] * 2
    assert world.dates()[DAY].outcome == "complete"


def test_the_sweep_runs_the_check_of_each_done_date_anew(world):
    world.enqueue(DAY, DAY)
    world.run()
    world.checks.script = lambda pair: CheckResult(1, detail="a customer is gone")
    world.time += world.pipeline.engine.revalidate_within
    # When the sweep finds the same output with a result that is too old
    assert world.engine.sweeper.run() == 1
    assert shown(world)[0] == "complete"
    world.run()
    # Then the date is done and regressed, by what the check says now
    assert world.dates()[DAY].regressed == f"box is degraded: {NAME} exited 1: a customer is gone"


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_done_date_whose_output_its_check_passed_is_done_however_old_the_result_is(world, dry_run):
    world.enqueue(DAY, DAY)
    world.run()
    before = len(world.checks.started)
    world.time += 2 * world.pipeline.engine.revalidate_within
    # When it is requested again, then neither a job nor its check runs: the sweep does that
    answer = world.enqueue(DAY, DAY, dry_run=dry_run)
    world.settle()
    assert [(one.outcome, one.verdicts) for one in answer.details] == [("already_done", {"complete": 2})]
    assert len(world.checks.started) == before
    assert world.engine.sweeper.run() == 1
    world.run()
    assert len(world.checks.started) == before + 1


def test_a_done_date_is_requeued_where_its_check_is_about_another_output_or_had_no_result(world):
    world.enqueue(DAY, DAY)
    world.run()
    # When another run writes the output, then a request has it checked anew, and runs no job
    world.fill("box", DAY)
    assert [one.outcome for one in world.enqueue(DAY, DAY).details] == ["enqueued"]
    world.run()
    assert world.checks.started == [(DAY, "box")] * 2
    assert [name for name, _ in world.attempts(DAY)] == ["box", "team"]


def test_no_more_checks_run_than_check_slots_and_live_dates_go_before_done_ones(tmp_path):
    # Given a done date, and checks that run one at a time
    made = file(engine={"check_slots": 1})
    world = World(made, SEASON, tmp_path)
    dates = sorted(SEASON)[:4]
    world.enqueue(dates[0], dates[0])
    world.run()
    world.checks.started.clear()
    # When its output changes while three dates wait for their checks
    for date in dates:
        world.fill("box", date)
    world.enqueue(dates[1], dates[3])
    with world.db.write() as tx:
        checks.request_check(tx, [(dates[0], "box")], world.time)
    most = 0
    while world.step():
        most = max(most, len(world.checks.running))
    # Then never more than one ran, and that of the done date came last
    assert most == 1
    assert world.checks.started == [(date, "box") for date in (*dates[1:], dates[0])]
    world.db.close()


def test_a_check_takes_a_slot_of_its_pool_and_no_slot_of_jobs(tmp_path):
    # Given one writing process at a time, for jobs and checks alike, and one slot for jobs
    made = file(box={"pool": "duckdb"}, pool=[{"name": "duckdb", "size": 1}], jobs={"slots": 1})
    world = World(made, SEASON, tmp_path)
    first, second = sorted(SEASON)[:2]
    world.fill("box", first)
    # When the first date waits for its check and the second one for its job
    world.enqueue(first, second)
    world.settle()
    # Then the check runs, and the job waits for the pool by name
    assert world.checks.running == {(first, "box")}
    with world.db.read() as tx:
        assert waiting_on(tx, world.context, world.live())[second] == (
            f"a slot of the pool duckdb: 1 of 1 are taken: {first} runs the check of box"
        )
    while world.step():
        running = [p.job.env["BACKFILLD_PROCESSOR"] for p in world.executor.alive.values()]
        assert running.count("box") + len(world.checks.running) <= 1
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    world.db.close()


def test_no_check_starts_while_the_warehouse_is_on_hold(world):
    world.fill("box", DAY)
    world.enqueue(DAY, DAY)
    world.engine.tick()
    world.engine.validate()
    world.commands.hold("warehouse", "", by=ME, reason="maintenance")
    world.settle()
    assert world.checks.started == []
    world.commands.release("warehouse", "", by=ME)
    world.run()
    assert world.dates()[DAY].outcome == "complete"


def test_the_same_failing_check_many_times_in_a_row_holds_the_processor(tmp_path):
    made = file(jobs={"breaker_threshold": 2, "max_attempts": 1})
    world = World(made, SEASON, tmp_path)
    world.checks.script = lambda pair: CheckResult(1, detail="relation orders does not exist")
    dates = sorted(SEASON)[:4]
    world.enqueue(dates[0], dates[3])
    world.run()
    # Then two failures hold it, and each attempt has the verdict of its check
    failed = [row for row in world.dates().values() if row.state == "failed"]
    assert 2 <= len(failed) < 4
    assert {row.reason for row in failed} == {
        f"box: degraded: {NAME} exited 1: relation orders does not exist; 1 attempt"
    }
    with world.db.read() as tx:
        assert {h.kind for h in holds.all_holds(tx)} == {"processor"}
    world.db.close()


def test_what_is_computed_from_an_accepted_output_does_not_wait_for_its_check(world):
    world.fill("box", DAY)
    world.checks.script = lambda pair: CheckResult(None, detail="did not end within 300 s")
    world.enqueue(DAY, DAY)
    world.settle()
    world.commands.accept(DAY, "box", by=ME, reason="its check hangs")
    world.settle()
    assert world.executor.launched
    world.run()
    assert world.dates()[DAY].outcome == "waived"


@pytest.mark.parametrize("later", ["its check still cannot run", "its check passes"])
def test_an_accepted_output_whose_check_said_nothing_makes_nothing_stale_while_its_rows_are_the_same(
    world, later
):
    # Given an output that its check could not judge, accepted, and what was computed from it
    world.checks.script = lambda pair: CheckResult(127, detail="sh: no dbt")
    world.enqueue(DAY, DAY)
    world.settle()
    while not world.executor.ended or world.checks.running:
        world.step()
        world.settle()
    world.commands.accept(DAY, "box", by=ME, reason="no dbt here")
    world.run()
    assert (world.dates()[DAY].outcome, world.dates()[DAY].stale_at) == ("waived", None)
    # When it is judged again, as by the sweep
    if later == "its check passes":
        world.checks.script = lambda pair: CheckResult(0)
    world.time += 8 * 86400.0
    world.engine.sweeper.run()
    world.run()
    # Then the same rows are no change
    assert shown(world)[0] == ("complete" if later == "its check passes" else "unknown")
    assert world.dates()[DAY].stale_at is None
    # But others are
    world.time += 1
    world.fill("box", DAY, rows=7)
    world.engine.validator.revalidate(stored(world))
    assert world.dates()[DAY].stale_at is not None


def stored(world):
    """The checks of the date."""
    with world.db.read() as tx:
        return list(checks.for_dates(tx, [DAY])[DAY].values())
