"""What is said and counted of attempts that fail: once for each attempt, with the line that matters."""

import datetime as dt

import pytest

from backfilld.state.formatting import last_line, matching_line
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.world import World

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
