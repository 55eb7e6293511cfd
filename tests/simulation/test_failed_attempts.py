"""What is said and counted of attempts that fail: once for each attempt, with the line that matters."""

import datetime as dt

import pytest

from backfilld.daemon.event_types import AttemptEnded, Incident
from backfilld.daemon.executors.adapter import JobResult
from backfilld.state.formatting import last_line, matching_line, shown_line
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import ANSWER_SENT, Work
from tests.simulation.world import ME, World

DAYS = {dt.date(2021, 10, 19) + dt.timedelta(days=n): 5 for n in range(30)}
BATCH = {"batch": 30, "command": ["true", "{dates}"]}


def test_a_failed_attempt_of_thirty_dates_counts_once_for_the_breaker(tmp_path):
    # Given a breaker that trips at five, and a job that takes 30 dates and fails twice
    world = World(pipeline(phase("raw", processor("box", **BATCH)), jobs={"backoff": "10s"}), DAYS, tmp_path)
    left = iter(range(2))
    world.script = lambda job: world.well(job) if next(left, None) is None else Work(code=1)
    world.enqueue(min(DAYS), max(DAYS))
    world.run()
    # Then nothing is held, and the third attempt completes all dates
    assert {row.outcome for row in world.dates().values()} == {"complete"}
    assert not world.commands.holds()


def test_five_failed_attempts_of_thirty_dates_hold_the_processor(tmp_path):
    jobs = {"backoff": "10s", "max_attempts": 9}
    world = World(pipeline(phase("raw", processor("box", **BATCH)), jobs=jobs), DAYS, tmp_path)
    world.script = lambda job: Work(code=1)
    world.enqueue(min(DAYS), max(DAYS))
    world.run()
    assert len(world.executor.launched) == 5
    assert [hold.key for hold in world.commands.holds()] == ["box"]


def test_an_attempt_whose_dates_are_judged_one_after_another_counts_once_for_the_breaker(tmp_path):
    # Given a breaker that trips at two, and a job that takes two dates and fails once
    first, second = sorted(DAYS)[:2]
    jobs = {"backoff": "10s", "breaker_threshold": 2}
    world = World(pipeline(phase("raw", processor("box", **BATCH)), jobs=jobs), DAYS, tmp_path)
    left = iter(range(1))
    world.script = lambda job: world.well(job) if next(left, None) is None else Work(code=1)

    def outdates_the_second(point):
        if point == ANSWER_SENT and ("box", "exited 1") in world.attempts(first):
            world.warehouse.point = lambda _: None
            with world.db.write() as tx:
                checks.request_check(tx, [(second, "box")], world.time)

    # When the answer about the second date no longer counts, so that it is judged by the next query
    world.warehouse.point = outdates_the_second
    world.enqueue(first, second)
    world.run()
    # Then nothing was held, and the second attempt completes both dates
    assert [event for event in world.events if isinstance(event, Incident)] == []
    assert len(world.executor.launched) == 2
    assert {row.outcome for row in world.dates().values()} == {"complete"}


@pytest.mark.parametrize(("dates", "held"), [(1, []), (2, ["box"])])
def test_want_of_data_counts_once_for_the_breaker_also_where_the_file_has_it_confirmed_again(
    tmp_path, dates, held
):
    # Given a breaker that trips at two, and a source without data that dates wait on without, at a held job
    def file(confirm_after):
        jobs = {"breaker_threshold": 2, "no_data_attempts": 1, "confirm_after": confirm_after}
        box = processor("box", priority="fallback")
        return pipeline(phase("raw", box), phase("made", processor("team")), jobs=jobs)

    world = World(file("10s"), DAYS, tmp_path)
    world.script = lambda job: Work()
    world.commands.hold("processor", "team", by=ME, reason="maintenance")
    world.enqueue(min(DAYS), min(DAYS) + dt.timedelta(days=dates - 1))
    world.run()
    # When the file has it confirmed later, and every date is judged once more
    world.time += 3600
    world.pipeline = file("60s")
    world.start()
    world.run()
    # Then each attempt has counted once
    assert {row.waiting for row in world.dates().values()} == {"held"}
    assert [hold.key for hold in world.commands.holds() if hold.key != "team"] == held


LOG = """\
Running with dbt=1.8.2
Database Error in model stg_orders (models/stg_orders.sql)
  Binder Error: column amount_cents not found
  compiled code at target/run/stg_orders.sql
1 of 1 ERROR creating model stg_orders
Done. PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1
"""


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        ("Binder Error|Catalog Error", "Binder Error: column amount_cents not found"),
        (r"^\d+ of \d+ ERROR", "1 of 1 ERROR creating model stg_orders"),
        ("Traceback", ""),
    ],
)
def test_the_last_line_that_matches_is_the_reason(pattern, line):
    assert matching_line(LOG, pattern) == line


def test_a_pattern_that_is_no_regular_expression_is_refused():
    with pytest.raises(PipelineError, match=r"error_pattern: '\(' is not a regular expression"):
        pipeline(phase("raw", processor("box", error_pattern="(")))


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("(a+)+$", "repeats what is repeated or has alternatives"),
        (r"(\w+\s?)*:", "repeats what is repeated or has alternatives"),
        ("(?:a|aa)+b", "repeats what is repeated or has alternatives"),
        ("((?=x*)y)*", "repeats what is repeated or has alternatives"),
        (".*a.*b.*c.*d", "has 4 unbounded repeats, at most 3 may be; write bounded ones, such as .{0,80}"),
    ],
)
def test_a_pattern_that_a_text_can_make_slow_is_refused(pattern, problem):
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box", error_pattern=pattern)))
    assert f"phase[raw].processor[box].error_pattern: {pattern!r} {problem}" in raised.value.problems[0]


@pytest.mark.parametrize(
    "pattern", ["(?i)error|fatal", r"^\S+ .*(Error|Exception): .+$", r"(\d{1,3}\.){3}\d{1,3}", "é+"]
)
def test_usual_patterns_are_taken_and_are_quick_on_any_line(pattern):
    assert pipeline(phase("raw", processor("box", error_pattern=pattern)))
    assert matching_line("ab " * 100_000, pattern) in ("", last_line("ab " * 134))


def test_where_a_source_has_no_data_the_command_that_loads_it_is_shown_and_not_run(tmp_path):
    source = ["python3", "scrapers/box.py", "--dates", "{date}"]
    world = World(pipeline(phase("raw", processor("box", source_command=source))), DAYS, tmp_path)
    world.script = lambda job: Work()
    world.enqueue(min(DAYS), min(DAYS))
    world.run()
    row = world.dates()[min(DAYS)]
    assert row.outcome == "blocked"
    assert row.reason.endswith("; load its source: python3 scrapers/box.py --dates 2021-10-19")
    assert all(job.argv[0] == "true" for job in world.executor.launched)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        (0, "the latest run succeeded (exit 0; 2 processes that it left behind were ended)"),
        (1, "the latest run failed (exit 1; 2 processes that it left behind were ended)"),
        (None, "the latest run failed (lost: killed; 2 processes that it left behind were ended)"),
    ],
)
def test_the_reason_of_a_verdict_names_the_processes_that_a_job_left_behind(tmp_path, code, how):
    world = World(pipeline(phase("raw", processor("box")), jobs={"backoff": "60s"}), DAYS, tmp_path)
    world.enqueue(min(DAYS), min(DAYS))
    world.settle()
    del world.executor.alive[1]
    end = JobResult(code=code, ended_at=world.clock(), detail="" if code is not None else "killed")
    world.executor.ended[1] = end.with_leftovers(2)
    world.settle()
    with world.db.read() as tx:
        assert how in checks.for_dates(tx, [min(DAYS)])[min(DAYS)]["box"].reason
    (event,) = [event for event in world.events if isinstance(event, AttemptEnded)]
    assert event.detail.endswith("2 processes that it left behind were ended")


@pytest.mark.parametrize(
    ("output", "failed", "line"),
    [
        ("Error: a\n\ntrailer\n", True, "Error: a"),
        ("Error: a\n\ntrailer\n", False, "trailer"),
        ("all well\n", True, "all well"),
        ("", True, ""),
    ],
)
def test_the_line_that_tells_is_that_of_the_pattern_where_a_job_failed(output, failed, line):
    assert shown_line(output, "Error: .*", failed=failed) == line
