"""What rows mean whose reference is not there, with and without an open run of somebody else."""

import pytest

from backfilld.state.rules.expectations.aggregate_types import KeyCounts
from backfilld.state.rules.judge import Judgement, Reference, judge
from backfilld.state.rules.verdict import Verdict
from tests.factories import about, day, expectation, open_run, run, seen

HALF_OF_TEAM = expectation(ratio={"of": "team", "min": 0.5})
STALE = open_run(hours_ago=5)
NOT_SATISFIED = [verdict for verdict in Verdict if not verdict.satisfied]


def compared(verdict: Verdict, *, waiver: str = "", error: str = "", rows: int = 9, **around) -> Judgement:
    """The judgement of nine rows whose reference has a verdict."""
    evidence = seen(rows=rows, reference=10, error=error, open=around.pop("open", None))
    return judge(
        evidence, HALF_OF_TEAM, day(), about(reference=Reference(verdict=verdict, waiver=waiver), **around)
    )


@pytest.mark.parametrize("verdict", NOT_SATISFIED)
def test_without_an_open_run_rows_wait_for_their_reference(verdict: Verdict) -> None:
    found = compared(verdict)
    assert (found.verdict, found.waits_for_reference) == (Verdict.UNKNOWN, True)
    assert found.reason == f"team, which it is compared with, is {verdict}"


@pytest.mark.parametrize("verdict", NOT_SATISFIED)
def test_an_open_run_is_waited_for_before_the_reference(verdict: Verdict) -> None:
    found = compared(verdict, open=open_run())
    assert (found.verdict, found.waits_for_reference) == (Verdict.RUNNING, False)
    assert (found.reason, found.rows) == ("a run is open in the history, started 1.0 h ago", 9)


def test_a_run_that_is_stale_or_left_open_by_an_attempt_is_not_waited_for() -> None:
    assert compared(Verdict.NEVER_RAN, open=STALE).verdict is Verdict.UNKNOWN
    own = run(hours_ago=1, succeeded=False)
    assert compared(Verdict.NEVER_RAN, open=open_run(), last_attempt=own).verdict is Verdict.UNKNOWN


def test_what_the_warehouse_did_not_answer_is_unknown_whatever_run_is_open() -> None:
    found = compared(Verdict.NEVER_RAN, error="timeout", open=open_run())
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, "timeout")
    assert compared(Verdict.NEVER_RAN, rows=-1, open=open_run()).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("verdict", "waiver"),
    [(Verdict.COMPLETE, ""), (Verdict.NOT_EXPECTED, ""), (Verdict.PARTIAL, "accepted by me: lost")],
)
def test_rows_that_are_judged_beat_the_open_run(verdict: Verdict, waiver: str) -> None:
    assert compared(verdict, waiver=waiver, open=open_run()).verdict is Verdict.COMPLETE


def test_a_rule_with_nothing_to_compare_with_waits_for_the_open_run_first() -> None:
    rule = expectation(keys={"columns": ["shop_id"], "from": "ref.shop_days"})
    none = KeyCounts(expected=0, missing=0, extra=0, missing_key="", extra_key="")
    assert judge(seen(rows=9, keys=none), rule, day(), about()).verdict is Verdict.UNKNOWN
    assert judge(seen(rows=9, keys=none, open=open_run()), rule, day(), about()).verdict is Verdict.RUNNING
