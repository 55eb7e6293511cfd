"""What the warehouse's answer means: `judge`. Pure.

Rows beat history; history only explains absence. An exit code is history too, and the weakest.
"""

from __future__ import annotations

from dataclasses import dataclass

from backfilld.state.formatting import format_counts, format_utc, pluralize
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.expectation import Expectation
from backfilld.state.rules.expectations.rule import Finding, Range
from backfilld.state.rules.verdict import Evidence, HistoryRun, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with the figures and the sentence that explain it."""

    verdict: Verdict
    rows: int | None
    expected: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeContext:
    """What `judge` must know beside evidence, expectation and day. Times are epoch seconds."""

    now: float
    stale_after: float
    """Seconds after which an open run counts as never closed."""
    bootstrap_days: int = 0
    last_attempt: HistoryRun | None = None
    """The daemon's latest attempt for this (processor, date)."""
    previous_attempts: tuple[HistoryRun, ...] = ()
    """The daemon's attempts before that one, or all of them. Their leftover open runs do not block either."""
    rewrite: bool = False
    """Whether `last_attempt` was to rewrite the output, whatever rows were there."""
    stamp_before: str | None = None
    """The write stamp before that attempt; None where it is not known."""


def judge(evidence: Evidence, expectation: Expectation, day: Day, context: JudgeContext) -> Judgement:
    """Say what the evidence means. Total: every evidence, expectation and day has a verdict."""
    if not day.expected:
        return Judgement(verdict=Verdict.NOT_EXPECTED, rows=None, expected="0", reason=day.reason)
    if day.in_bootstrap(context.bootstrap_days):
        return _bootstrap(day, context.bootstrap_days)
    if evidence.error:
        return Judgement(verdict=Verdict.UNKNOWN, rows=None, expected="", reason=evidence.error)
    allowed = expectation.row_range(day, evidence.reference)
    if doubt := _nonsense(evidence, day) or _not_counted(evidence, expectation, day):
        return Judgement(verdict=Verdict.UNKNOWN, rows=evidence.rows, expected=str(allowed), reason=doubt)
    verdict, reason = _judge_rows(evidence, expectation, day, allowed)
    if verdict in _UNSATISFIED_ROWS and evidence.open and _is_open(evidence.open, context):
        since = f"started {_hours(evidence.open, context)} ago"
        verdict, reason = Verdict.RUNNING, f"a run is open in the history{_because(evidence.open)}, {since}"
    elif verdict is Verdict.NEVER_RAN:
        verdict, reason = _explain_absence(evidence, context, allowed)
    elif context.rewrite and context.last_attempt:
        verdict, reason = _judge_rewrite(evidence, context, context.last_attempt) or (verdict, reason)
        if verdict is Verdict.COMPLETE and not _is_provable(evidence, context):
            reason = "rewrite not provable here"
    return Judgement(verdict=verdict, rows=evidence.rows, expected=str(allowed), reason=reason)


_UNSATISFIED_ROWS = (Verdict.PARTIAL, Verdict.EXCESS, Verdict.DEGRADED, Verdict.NEVER_RAN)


def _bootstrap(day: Day, days: int) -> Judgement:
    reason = f"bootstrap: day {day.season_day} of {day.season}, nothing expected before day {days}"
    return Judgement(verdict=Verdict.NOT_EXPECTED, rows=None, expected="0", reason=reason)


def _nonsense(evidence: Evidence, day: Day) -> str:
    """What is impossible in the answers of warehouse and calendar; empty where nothing is."""
    parts = [*evidence.distinct.values(), evidence.passing_rows, *evidence.empty_counts.values()]
    counts = [count for count in parts if count is not None]
    if evidence.rows < 0 or any(count < 0 or count > evidence.rows for count in counts):
        return f"the warehouse's answer makes no sense: {evidence.rows} rows, parts {counts}"
    if evidence.reference is not None and evidence.reference < 0:
        return f"the warehouse's answer makes no sense: {evidence.reference} rows to measure against"
    if any(count < 0 for count in day.counts.values()):
        return f"the calendar's answer makes no sense: {format_counts(day.counts)}"
    return ""


def _not_counted(evidence: Evidence, expectation: Expectation, day: Day) -> str:
    """The figure that a rule needs and that is absent: a rule that cannot be checked does not hold."""
    for name in expectation.count_names:
        if name not in day.counts:
            return f"the calendar does not say how many {name} there are"
    for aggregate in expectation.aggregates if evidence.rows else ():
        if evidence.figure(aggregate) is None:
            return f"{aggregate} were not counted"
    return ""


def _judge_rows(evidence: Evidence, expectation: Expectation, day: Day, allowed: Range) -> Finding:
    """The verdict of the rows alone; NEVER_RAN when there are none to judge."""
    rows = evidence.rows
    if rows == 0:
        return Verdict.NEVER_RAN, ""
    if rows < allowed.least:
        return Verdict.PARTIAL, f"{rows} of {_floor(allowed)} rows"
    if allowed.most is not None and rows > allowed.most:
        counts = f" for {format_counts(day.counts)}" if day.counts else ""
        return Verdict.EXCESS, f"{rows} rows, at most {allowed.most}{counts}"
    findings = (rule.check(evidence, day) for rule in expectation.rules_on(day))
    return next((finding for finding in findings if finding), (Verdict.COMPLETE, ""))


def _floor(allowed: Range) -> str:
    return f"{allowed.least}" if allowed.least == allowed.most else f"at least {allowed.least}"


def _is_open(run: HistoryRun, context: JudgeContext) -> bool:
    """Whether an external run is at work: not stale, and not a leftover of an ended attempt of the daemon.

    A start far in the future is no better than a stale one: no wait may last without end.
    """
    if not abs(context.now - run.started_at) <= context.stale_after:
        return False
    attempts = (context.last_attempt, *context.previous_attempts)
    return not any(
        attempt.started_at <= run.started_at <= attempt.ended_at
        for attempt in attempts
        if attempt and attempt.ended_at is not None
    )


def _explain_absence(evidence: Evidence, context: JudgeContext, allowed: Range) -> Finding:
    """Why there are no rows, by the latest run that ended."""
    attempt = context.last_attempt
    ended = attempt if attempt and attempt.ended_at is not None else None
    runs = [run for run in (evidence.closed, ended) if run is not None]
    if not runs:
        started = evidence.open
        ago = f"a run that started {_hours(started, context)} ago never closed" if started else ""
        return Verdict.NEVER_RAN, f"no rows, {ago or 'no run recorded'}"
    latest = max(runs, key=lambda run: run.started_at)
    if not latest.succeeded:
        return Verdict.FAILED, f"no rows, the latest run failed{_because(latest)}"
    if allowed.least == 0:
        return Verdict.COMPLETE, "no rows, and none are needed"
    return Verdict.NO_DATA, f"the latest run succeeded{_because(latest)}, but there are no rows"


def _judge_rewrite(evidence: Evidence, context: JudgeContext, attempt: HistoryRun) -> Finding | None:
    """What a rerun did to the rows that are there; None where it rewrote them, or where that is not provable.

    Stamps are compared with each other, never with a clock.
    """
    if not attempt.succeeded:
        how = attempt.detail or "without an exit code"
        return (
            Verdict.FAILED,
            f"the rerun failed ({how}); {pluralize(evidence.rows, 'row')} of it or from before",
        )
    if _is_provable(evidence, context) and evidence.write_stamp == context.stamp_before:
        since = format_utc(attempt.started_at)
        return Verdict.UNTOUCHED, f"exited 0, but the partition was not rewritten since {since}"
    return None


def _is_provable(evidence: Evidence, context: JudgeContext) -> bool:
    return evidence.write_stamp is not None and context.stamp_before is not None


def _because(run: HistoryRun) -> str:
    return f" ({run.detail})" if run.detail else ""


def _hours(run: HistoryRun, context: JudgeContext) -> str:
    return f"{(context.now - run.started_at) / 3600:.1f} h"
