"""What a date does next, for every verdict an engine can meet."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.state.records import CheckRow, Sources
from backfilld.state.rules.closed_hours import Closed
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import Advance, Fail, GateContext, Start, Wait, WaitReason, WaivedBy, decide
from backfilld.state.rules.verdict import Verdict
from tests.factories import phase, pipeline, processor

NOW = 1_000.0
SOURCES = pipeline(
    phase(
        "phase2",
        processor("book", fallbacks=["spare"]),
        processor("props", priority="important"),
        processor("spare", priority="fallback"),
    ),
    phase("phase3", processor("team"), processor("player", after=["team"])),
)
PHASE2, PHASE3 = SOURCES.stages


def check(name, verdict=Verdict.COMPLETE, **known):
    plain = {
        "date": dt.date(2021, 10, 26),
        "satisfied": verdict.satisfied,
        "rows": 0,
        "expected": "",
        "reason": "told",
        "asked_at": NOW,
        "query_due_at": None,
        "generation": 1,
        "attempt_count": 0,
        "clean_attempts": 0,
        "output": f"nba.{name}",
        "retry_at": None,
        "runnable": False,
        "priority": 0,
        "mode": "normal",
        "attempt_id": None,
        "last_attempt_started_at": None,
        "last_attempt_ended_at": None,
        "last_attempt_succeeded": False,
        "last_attempt_detail": "",
        "waived_by": "",
        "waiver_reason": "",
        "accepted_by": "",
        "accepted_reason": "",
    }
    return CheckRow(processor=name, verdict=verdict, **{**plain, **known})


TRIED = {"attempt_count": 2, "clean_attempts": 2}
"""A processor whose attempts of this request have all exited with 0, and were confirmed."""


def decided(stage, *checks, **facts):
    plain = {"now": NOW, "entered_at": NOW, "first_phase": stage is PHASE2}
    known = {p.name: check(p.name) for p in stage.processors} | {c.processor: c for c in checks}
    return decide(stage, known, GateContext(**{**plain, **facts}))


def test_a_complete_state_advances_without_running_anything():
    assert decided(PHASE3) == Advance()


@pytest.mark.parametrize(
    "verdict",
    [Verdict.NEVER_RAN, Verdict.PARTIAL, Verdict.DEGRADED, Verdict.UNTOUCHED, Verdict.FAILED, Verdict.EXCESS],
)
def test_what_is_not_as_it_should_be_is_run(verdict):
    assert decided(PHASE3, check("team", verdict)).processors == ("team",)


def test_a_closed_window_keeps_a_processor_and_no_other_from_starting():
    # Given one of two processors of a state, whose window is closed
    closed = {"props": Closed("window night: it opens at six", NOW + 60)}
    book, props = check("book", Verdict.PARTIAL), check("props", Verdict.NEVER_RAN)
    # Then the other may start, and the state is decided again when the window opens
    decision = decided(PHASE2, book, props, closed=closed)
    assert (decision.processors, decision.wait.until) == (("book",), NOW + 60)
    # And alone, it waits by the window's name; a hold comes first, and complete output needs no window
    wait = decided(PHASE2, props, closed=closed)
    assert (wait.waiting, wait.text) == (WaitReason.WINDOW, "window night: it opens at six")
    assert decided(PHASE2, props, closed=closed, held={"props": "broken"}).waiting is WaitReason.HELD
    assert decided(PHASE2, closed=closed) == Advance()


def test_nothing_starts_before_what_it_comes_after():
    both = [check("team", Verdict.NEVER_RAN), check("player", Verdict.NEVER_RAN)]
    assert decided(PHASE3, *both).processors == ("team",)


def test_an_old_answer_is_asked_again_before_a_job_starts():
    decision = decided(PHASE3, check("team", Verdict.NEVER_RAN, asked_at=NOW - 1))
    assert decision == Wait(waiting=WaitReason.VERDICT, ask=("team",))


def test_a_failure_is_retried_not_before_its_time():
    failed = check("team", Verdict.FAILED, attempt_count=1, retry_at=NOW + 30)
    assert decided(PHASE3, failed).until == NOW + 30


@pytest.mark.parametrize(
    "beside",
    [check("player", attempt_id=1), check("player", Verdict.NEVER_RAN), check("player", asked_at=None)],
    ids=["an attempt", "a slot", "a verdict"],
)
def test_a_retry_comes_in_its_time_whatever_the_date_waits_for_beside_it(beside):
    apart = pipeline(phase("phase3", processor("team"), processor("player"))).stages[0]
    decision = decided(apart, check("team", Verdict.FAILED, attempt_count=1, retry_at=NOW + 30), beside)
    assert (decision.wait if isinstance(decision, Start) else decision).until == NOW + 30


def test_used_up_attempts_fail_the_date_with_the_figures():
    decision = decided(PHASE3, check("team", Verdict.PARTIAL, attempt_count=3, reason="2 of 16 rows"))
    assert decision == Fail(outcome=Outcome.EXHAUSTED, reason="team: partial: 2 of 16 rows; 3 attempts")


def test_an_excess_is_run_once_and_then_fails():
    decision = decided(
        PHASE3, check("team", Verdict.EXCESS, attempt_count=1, reason="44 rows, at most 22 for 11 games")
    )
    assert decision.reason == "team: excess: 44 rows, at most 22 for 11 games; 1 attempt"


def test_a_critical_source_without_data_blocks_after_its_attempts():
    assert decided(PHASE3, check("team", Verdict.NO_DATA)).processors == ("team",)
    once = check("team", Verdict.NO_DATA, attempt_count=1, clean_attempts=1)
    assert decided(PHASE3, once).processors == ("team",)
    assert decided(PHASE3, check("team", Verdict.NO_DATA, **TRIED)).outcome is Outcome.BLOCKED


def test_attempts_that_failed_do_not_prove_that_there_is_no_data_but_are_bounded():
    failed = check("team", Verdict.NO_DATA, attempt_count=2, clean_attempts=1)
    assert decided(PHASE3, failed).processors == ("team",)
    used_up = check("team", Verdict.NO_DATA, attempt_count=3, clean_attempts=1)
    assert decided(PHASE3, used_up).outcome is Outcome.EXHAUSTED


def test_where_no_data_is_trusted_the_history_is_enough_unless_it_is_retried():
    stage = pipeline(phase("phase3", processor("team", no_data="trust"))).stages[0]
    assert decided(stage, check("team", Verdict.NO_DATA)).outcome is Outcome.BLOCKED
    assert decided(stage, check("team", Verdict.NO_DATA, mode="retry")).processors == ("team",)
    tried = check("team", Verdict.NO_DATA, mode="retry", attempt_count=1, clean_attempts=1)
    assert decided(stage, tried).outcome is Outcome.BLOCKED


@pytest.mark.parametrize("verdict", [Verdict.NO_DATA, Verdict.PARTIAL, Verdict.DEGRADED])
def test_nothing_is_given_up_before_the_query_that_confirms_it(verdict):
    ended = {"last_attempt_ended_at": NOW - 59, "last_attempt_succeeded": True}
    tried = {"attempt_count": 3, "clean_attempts": 3, **ended}
    waits = decided(PHASE3, check("team", verdict, **tried))
    assert (waits.waiting, waits.until) == (WaitReason.VERDICT, NOW + 1)
    asks = decided(PHASE3, check("team", verdict, **tried), now=NOW + 1)
    assert asks.ask == ("team",)
    confirmed = check("team", verdict, **{**tried, "asked_at": NOW + 1})
    assert isinstance(decided(PHASE3, confirmed, now=NOW + 2), Fail)


def test_an_attempt_that_failed_needs_no_confirmation():
    ended = {"last_attempt_ended_at": NOW - 1, "last_attempt_succeeded": False}
    used_up = check("team", Verdict.FAILED, attempt_count=3, clean_attempts=1, **ended)
    assert decided(PHASE3, used_up).outcome is Outcome.EXHAUSTED


def test_a_complete_fallback_stands_in():
    decision = decided(PHASE2, check("book", Verdict.NO_DATA, **TRIED))
    assert decision.waivers["book"].by is WaivedBy.FALLBACK


@pytest.mark.parametrize("priority", ["critical", "important", "fallback"])
def test_a_complete_fallback_stands_in_whatever_the_priority_and_says_why_once(priority):
    lines = phase("phase2", processor("props", priority=priority, fallbacks=["spare"]), processor("spare"))
    decision = decided(pipeline(lines).stages[0], check("props", Verdict.NO_DATA, reason="none", **TRIED))
    assert decision.waivers["props"].by is WaivedBy.FALLBACK
    assert decision.waivers["props"].reason == "replaced by spare: no data: none"


def test_a_fallback_that_may_still_come_is_waited_for():
    decision = decided(PHASE2, check("book", Verdict.NO_DATA, **TRIED), check("spare", Verdict.NEVER_RAN))
    assert decision.processors == ("spare",)


def test_an_important_source_without_data_is_a_gap_with_a_note():
    decision = decided(PHASE2, check("props", Verdict.NO_DATA, reason="the run found nothing", **TRIED))
    assert decision.waivers["props"].reason == "no data: the run found nothing"


def test_without_sources_a_missing_critical_source_blocks_and_others_are_gaps():
    missing = [check("book", Verdict.NEVER_RAN), check("spare", Verdict.NEVER_RAN)]
    assert decided(PHASE2, *missing, sources=Sources.NONE).outcome is Outcome.BLOCKED
    assert decided(PHASE2, check("props", Verdict.NEVER_RAN), sources=Sources.CRITICAL).waivers.keys() == {
        "props"
    }


def test_an_open_run_an_unknown_and_a_hold_are_waited_for():
    assert decided(PHASE3, check("team", Verdict.RUNNING)).waiting is WaitReason.OPEN_RUN
    assert decided(PHASE3, check("team", Verdict.UNKNOWN)).waiting is WaitReason.WAREHOUSE
    assert decided(PHASE3, check("team", Verdict.FAILED), held={"team": "paused"}).waiting is WaitReason.HELD


def test_no_selected_job_starts_beside_an_open_run_of_what_is_not_selected():
    rows = [check("book", Verdict.NEVER_RAN), check("props", Verdict.RUNNING, reason="started 5 s ago")]
    decision = decided(PHASE2, *rows, selected=frozenset({"book"}))
    assert (decision.waiting, decision.text) == (
        WaitReason.OPEN_RUN,
        "an open run of props: started 5 s ago",
    )
    unknown = [rows[0], check("props", Verdict.UNKNOWN, reason="no such table")]
    assert decided(PHASE2, *unknown, selected=frozenset({"book"})).processors == ("book",)


def test_an_open_run_of_what_is_not_selected_keeps_no_date_from_its_end():
    decision = decided(PHASE2, check("props", Verdict.RUNNING), selected=frozenset({"book"}))
    assert isinstance(decision, Advance)


def test_a_hole_bars_the_way_only_when_the_gate_is_satisfied():
    assert decided(PHASE3, blocks_entry="2021-10-25").waiting is WaitReason.EARLIER_DATE
    assert isinstance(decided(PHASE3, check("team", Verdict.FAILED), blocks_entry="2021-10-25"), Start)


@pytest.mark.parametrize("verdict", [Verdict.COMPLETE, Verdict.NEVER_RAN, Verdict.PARTIAL])
def test_a_processor_that_needs_an_earlier_date_neither_starts_nor_lets_its_date_pass(verdict):
    decision = decided(PHASE3, check("team", verdict), missing_upstream={"team": "2021-10-25"})
    assert (decision.waiting, decision.text) == (WaitReason.EARLIER_DATE, "2021-10-25")


def test_the_other_processors_of_its_state_start_meanwhile():
    rows = [check("book", Verdict.NEVER_RAN), check("props", Verdict.NEVER_RAN)]
    decision = decided(PHASE2, *rows, missing_upstream={"book": "2021-10-25"})
    assert isinstance(decision, Start)
    assert decision.processors == ("props",)


def test_a_date_never_fails_under_a_running_attempt():
    decision = decided(PHASE3, check("team", Verdict.NO_DATA, **TRIED), check("player", attempt_id=7))
    assert decision.waiting is WaitReason.ATTEMPT
    assert decision.text.startswith("then the date fails: team: no data")


def compared_and(box, lines=None):
    """A state in which `lines` is compared with `box`, while `box` is as stated."""
    ratio = {"ratio": {"of": "box", "min": 0.5}}
    (stage,) = pipeline(
        phase("raw", processor("box"), processor("lines", after=["box"], expect=ratio))
    ).stages
    doubt = "box, which it is compared with, is partial"
    return decided(stage, box, lines or check("lines", Verdict.UNKNOWN, reason=doubt))


def test_a_date_waits_for_the_retry_of_a_reference_and_not_for_the_warehouse():
    retry = check("box", Verdict.PARTIAL, attempt_count=1, retry_at=NOW + 60)
    decision = compared_and(retry)
    assert (decision.waiting, decision.until) == (WaitReason.RETRY, NOW + 60)
    assert decision.text.startswith("box: ")


def test_a_date_waits_for_the_warehouse_where_the_reference_or_only_what_is_compared_cannot_be_queried():
    broken = check("box", Verdict.UNKNOWN, reason="table not found", query_due_at=NOW + 60)
    assert compared_and(broken).text == "table not found"
    lines = check("lines", Verdict.UNKNOWN, reason="no such table", query_due_at=NOW + 60)
    decision = compared_and(check("box"), lines)
    assert (decision.waiting, decision.text) == (WaitReason.WAREHOUSE, "no such table")


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_complete_output_that_awaits_its_rewrite_runs_whatever_attempts_were_kept(kept):
    awaiting = check("team", mode="force", attempt_count=kept, satisfied=False)
    assert decided(PHASE3, awaiting).processors == ("team",)


def test_a_rewrite_without_a_proof_ends_with_its_last_attempt():
    awaiting = check("team", mode="force", attempt_count=3, satisfied=False)
    assert isinstance(decided(PHASE3, awaiting), Fail)


def test_a_rewritten_output_does_not_run_again():
    assert decided(PHASE3, check("team", mode="normal", attempt_count=1)) == Advance()


def test_force_without_sources_leaves_complete_sources_as_they_are():
    forced = [check(p.name, mode="force") for p in PHASE2.processors]
    assert decided(PHASE2, *forced, sources=Sources.NONE) == Advance()


@pytest.mark.parametrize("verdict", [Verdict.PARTIAL, Verdict.DEGRADED, Verdict.UNTOUCHED])
def test_an_important_output_with_rows_is_waived_after_its_attempts_where_sources_are_left_out(verdict):
    phases = phase("phase2", processor("box")), phase("phase3", processor("team", priority="important"))
    used_up = check("team", verdict, attempt_count=3)
    decision = decided(pipeline(*phases).stages[1], used_up, sources=Sources.NONE)
    assert decision.waivers.keys() == {"team"}


def test_what_is_accepted_passes_whatever_it_shows_but_is_no_gap_where_it_is_complete():
    waiver = {"accepted_by": "ann", "accepted_reason": "lost"}
    for verdict in (Verdict.PARTIAL, Verdict.NO_DATA, Verdict.UNKNOWN, Verdict.RUNNING):
        assert decided(PHASE3, check("team", verdict, **waiver)).waivers.keys() == {"team"}
    assert decided(PHASE3, check("team", **waiver)) == Advance()
    # Before the warehouse has answered nobody knows which of both it is
    asked = check("team", Verdict.PARTIAL, query_due_at=NOW, **waiver)
    assert decided(PHASE3, asked) == Wait(waiting=WaitReason.VERDICT)


def checks(stage):
    times = st.none() | st.floats(0, 2 * NOW)
    one = st.fixed_dictionaries(
        {
            "verdict": st.sampled_from(list(Verdict)),
            "asked_at": times,
            "query_due_at": times,
            "retry_at": times,
            "attempt_count": st.integers(0, 5),
            "clean_attempts": st.integers(0, 5),
            "last_attempt_succeeded": st.booleans(),
            "last_attempt_ended_at": times,
            "mode": st.sampled_from(["", "normal", "retry", "force"]),
            "attempt_id": st.none() | st.integers(1, 3),
            "accepted_reason": st.sampled_from(["", "known gap"]),
            "reason": st.sampled_from(["", "told"]),
        }
    )
    return st.dictionaries(st.sampled_from([p.name for p in stage.processors]), one)


@given(
    st.data(),
    st.sampled_from([PHASE2, PHASE3]),
    st.sampled_from(list(Sources)),
    st.sampled_from(["", "paused"]),
)
def test_there_is_a_decision_for_whatever_is_known(data, stage, sources, paused):
    known = {name: check(name, **fields) for name, fields in data.draw(checks(stage)).items()}
    facts = GateContext(now=NOW, entered_at=NOW, sources=sources, first_phase=stage is PHASE2, paused=paused)
    decision = decide(stage, known, facts)
    assert isinstance(decision, Advance | Start | Wait | Fail)
    if paused:
        assert not isinstance(decision, Start)
    if isinstance(decision, Advance):
        assert all(c.verdict.satisfied or name in decision.waivers for name, c in known.items())
    if isinstance(decision, Start):
        assert not any(known[name].attempt_id for name in decision.processors)
