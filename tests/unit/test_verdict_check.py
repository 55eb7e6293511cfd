"""A command that must exit with 0: `expect.check`."""

import pytest

from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.check_command_run import CheckRun, has_result
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.judge import Judgement, Reference, judge
from backfilld.state.rules.verdict import Verdict
from tests.factories import about, day, expectation, open_run, phase, pipeline, processor, seen

CHECK = {"command": ["dbt", "test", "--vars", "{'day': '{date}'}"]}
NAME = "check \"dbt test --vars '{'\"'\"'day'\"'\"': '\"'\"'2021-10-26'\"'\"'}'\""


def ran(code: int | None = 0, detail: str = "") -> CheckRun:
    at = {"requested_at": 1.0, "started_at": 2.0, "ended_at": 3.0}
    return CheckRun(subject="", **at, exit_code=code, detail=detail, failures=0 if has_result(code) else 1)


def judged(evidence: Evidence, *, context: dict[str, object] | None = None, **rules: object) -> Judgement:
    return judge(evidence, expectation(check=CHECK, **rules), day(), about(**(context or {})))


def verdict_of(run: CheckRun | None, **figures: object) -> tuple[str, str]:
    found = judged(seen(rows=9, check_run=run, **figures))
    return found.verdict.value, found.reason


def test_only_an_exit_code_says_anything_about_the_output() -> None:
    assert verdict_of(ran(0, "Done.")) == ("complete", "")
    assert verdict_of(ran(1, "FAIL 2")) == ("degraded", f"{NAME} exited 1: FAIL 2")
    assert verdict_of(ran(2)) == ("degraded", f"{NAME} exited 2")
    assert verdict_of(ran(255, "lost")) == ("degraded", f"{NAME} exited 255: lost")
    assert verdict_of(None) == ("unknown", f"{NAME} has not run yet")
    waits = CheckRun(subject="", requested_at=1.0)
    assert verdict_of(waits) == ("unknown", f"{NAME} has not run yet")
    runs = CheckRun(subject="", requested_at=1.0, started_at=2.0)
    assert verdict_of(runs) == ("unknown", f"{NAME} is running")
    assert verdict_of(ran(None, "did not end within 300 s")) == (
        "unknown",
        f"{NAME} did not end within 300 s",
    )
    assert verdict_of(ran(127, "sh: 1: dbt: not found"))[0] == "unknown"
    assert verdict_of(ran(139)) == ("unknown", f"{NAME} was killed by signal 11; run it by hand")


def test_while_it_runs_again_it_says_why_the_run_before_had_no_result() -> None:
    before = {"subject": "", "requested_at": 1.0, "detail": "did not end within 300 s", "failures": 1}
    waits, runs = CheckRun(**before), CheckRun(**before, started_at=2.0)
    assert verdict_of(waits)[1] == f"{NAME} has not run yet; before, it did not end within 300 s"
    assert verdict_of(runs)[1] == f"{NAME} is running; before, it did not end within 300 s"
    # One that passed says nothing while it runs again
    assert verdict_of(CheckRun(subject="", requested_at=1.0, exit_code=0, detail="PASS=1"))[1].endswith("yet")


@pytest.mark.parametrize(
    ("code", "failures", "needed"),
    [(None, 1, False), (137, 1, False), (127, 1, True), (126, 1, True), (None, 2, True), (0, 0, False)],
)
def test_an_operator_is_needed_where_its_program_cannot_run_or_two_runs_had_no_result(
    code: int | None, failures: int, needed: bool
) -> None:
    run = CheckRun(subject="", requested_at=1.0, exit_code=code, failures=failures)
    assert run.needs_operator is needed


@pytest.mark.parametrize("run", [None, ran(0), ran(1)])
def test_it_says_nothing_where_another_rule_is_broken_or_there_are_no_rows(run: CheckRun | None) -> None:
    assert judged(seen(rows=9, check_run=run), rows=[10]).verdict is Verdict.PARTIAL
    assert judged(seen(rows=9, check_run=run), rows=[1, 8]).verdict is Verdict.EXCESS
    assert judged(seen(check_run=run)).verdict is Verdict.NEVER_RAN
    assert not judged(seen(check_run=run)).awaits_check


def test_an_empty_partition_is_checked_too() -> None:
    empty = seen(has_partition=True)
    assert judged(empty, empty="partition").awaits_check
    rejected = seen(has_partition=True, check_run=ran(1))
    assert judged(rejected, empty="partition").verdict is Verdict.DEGRADED


def test_it_waits_for_the_reference_of_other_rules_and_hides_nothing_that_is_broken() -> None:
    ratio = {"of": "team", "min": 1.0}
    unknown = {"reference": Reference(verdict=Verdict.PARTIAL)}
    found = judged(seen(rows=9, reference=9), ratio=ratio, context=unknown)
    assert (found.verdict, found.waits_for_reference, found.awaits_check) == (Verdict.UNKNOWN, True, False)
    broken = judged(seen(rows=9, reference=9, check_run=ran(1)), ratio=ratio, context=unknown)
    assert broken.verdict is Verdict.DEGRADED


def test_what_it_rejects_waits_for_an_external_run_that_is_open() -> None:
    assert verdict_of(ran(1), open=open_run())[0] == "running"
    assert verdict_of(ran(0), open=open_run())[0] == "complete"


def test_a_report_judges_by_the_other_rules_and_says_that_it_did_not_run() -> None:
    found = judged(seen(rows=9), context={"runs_checks": False})
    assert (found.verdict.value, found.reason, found.awaits_check) == ("complete", f"{NAME} not run", True)
    assert judged(seen(rows=9, check_run=ran(1)), context={"runs_checks": False}).verdict is Verdict.DEGRADED


def test_a_long_command_is_cut_in_sentences() -> None:
    rule = Expectation.model_validate({"check": {"command": ["dbt", "x" * 200]}}).check
    assert rule is not None
    assert rule.name(day().date) == f'check "dbt {"x" * 95}…"'


@pytest.mark.parametrize(
    ("check", "problem"),
    [
        ({"comand": ["true"]}, "unknown key 'comand'; did you mean 'command'?"),
        ({"command": []}, "command: is empty; fill it in"),
        ({"command": [" "]}, "command: the first word is empty; write the program there"),
        ({"command": ["x", "{day}"]}, "unknown placeholder {day}; known are date, dates, start, end, python"),
        ({"command": ["x", "{dates_file}"]}, "unknown placeholder {dates_file}"),
        ({"command": ["x", "{Date}"]}, "command: {Date} is not a placeholder; did you mean {date}?"),
        ({"command": ["x"], "timeout": "0s"}, "ends the command at once; write a longer time"),
    ],
)
def test_a_mistake_in_its_table_is_refused(check: dict[str, object], problem: str) -> None:
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box", expect={"check": check})))
    (found,) = raised.value.problems
    assert found.startswith("phase[raw].processor[box].expect.check")
    assert problem in found
