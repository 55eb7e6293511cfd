"""What the warehouse's answer means: `judge`. Pure.

Rows beat history; history only explains absence. An exit code is history too, and the weakest.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

from backfilld.state.formatting import format_counts, format_duration, format_utc, pluralize
from backfilld.state.rules.evidence import GONE, Evidence, HistoryRun
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.rule import Finding, Range
from backfilld.state.rules.recurring_days import OutputDays
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with the figures and the sentence that explain it."""

    verdict: Verdict
    rows: int | None
    expected: str
    reason: str = ""
    waits_for_reference: bool = False
    """Whether it is unknown only because the processor that it is compared with is not satisfied."""
    awaits_check: bool = False
    """Whether all other rules hold, and the check command has no result about this output."""

    @property
    def counts_rows(self) -> bool:
        """Whether the warehouse has counted rows; some rules may have no answer even so."""
        return self.verdict is not Verdict.UNKNOWN or self.rows is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The verdict of the processor that rules compare with, for the same date."""

    verdict: Verdict
    reason: str = ""
    waiver: str = ""
    """Why its output passes although it is incomplete; empty without a waiver."""


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
    must_change: bool = True
    """Whether the write stamp must differ after it: not after a refresh, which may bring nothing new."""
    since: dt.date | None = None
    until: dt.date | None = None
    """The dates on which the processor has output, both included; None: no limit."""
    days: OutputDays | None = None
    """The days on which it has output; None: on each."""
    reference: Reference | None = None
    """What is known of the processor that rules compare with. None: the reference counts as complete."""
    runs_checks: bool = True
    """Whether check commands are run. Reports start none: without a result they judge by the other rules."""


def judge(evidence: Evidence, expectation: Expectation, day: Day, context: JudgeContext) -> Judgement:
    """Say what the evidence means. Total: every evidence, expectation and day has a verdict."""
    if reason := not_expected_reason(day, context):
        return _not_expected(evidence, reason)
    if doubt := (context.days.doubt(day) if context.days else "") or evidence.error:
        return Judgement(verdict=Verdict.UNKNOWN, rows=None, expected="", reason=doubt)
    doubt, unjudged = _reference_status(expectation.reference_on(day), context.reference)
    if doubt or unjudged:
        expectation = expectation.without_reference
    judgement = _judge_check(
        _judge_rules(evidence, expectation, day, context), evidence, expectation, day, context
    )
    if doubt and (judgement.verdict is Verdict.COMPLETE or judgement.awaits_check):
        return _uncompared(judgement, doubt, evidence, context)
    if judgement.verdict is not Verdict.COMPLETE or not unjudged:
        return judgement
    return replace(judgement, reason="; ".join(filter(None, (judgement.reason, unjudged))))


def not_expected_reason(day: Day, context: JudgeContext) -> str:
    """Why a processor has no output on a day; empty where it has."""
    return day.reason or _off(day, context) or _bootstrap(day, context)


def _not_expected(evidence: Evidence, reason: str) -> Judgement:
    """The judgement where no output is expected. Rows that are there change no verdict, and are shown."""
    rows = evidence.rows if evidence.rows > 0 and not evidence.error else None
    text = f"{reason}; unexpected rows: {rows}" if rows else reason
    return Judgement(verdict=Verdict.NOT_EXPECTED, rows=rows, expected="0", reason=text)


def _off(day: Day, context: JudgeContext) -> str:
    excluded = context.days.exclusion(day) if context.days else ""
    return outside(day, context.since, context.until) or excluded


def outside(day: Day, since: dt.date | None, until: dt.date | None) -> str:
    """Why a processor with output from `since` to `until` has none on a day; empty where it has."""
    if since is not None and day.date < since:
        return f"before since {since}"
    return f"after until {until}" if until is not None and day.date > until else ""


def _reference_status(of: str | None, reference: Reference | None) -> tuple[str, str]:
    """Why a comparison with `of` cannot be judged yet, and why it never will be; empty where it can be.

    An incomplete reference says nothing until it is satisfied. One that is not expected, or that passes with
    a waiver, has no figure to compare with: the other rules judge alone.
    """
    if of is None or reference is None or reference.verdict is Verdict.COMPLETE:
        return "", ""
    if reference.waiver:
        return "", f"not compared with {of}, which passes with a waiver: {reference.waiver}"
    because = f": {reference.reason}" if reference.reason else ""
    if reference.verdict is Verdict.NOT_EXPECTED:
        return "", f"not compared with {of}, which is not expected{because}"
    return f"{of}, which it is compared with, is {reference.verdict}{because}", ""


def _uncompared(judgement: Judgement, doubt: str, evidence: Evidence, context: JudgeContext) -> Judgement:
    """The judgement of rows that hold all rules but a comparison, which cannot be judged yet.

    They are not known to be complete, so a run that is open may still write them: it is waited for first.
    """
    if evidence.open and _is_open(evidence.open, context):
        verdict, reason = _open_run(evidence.open, context)
        return replace(judgement, verdict=verdict, reason=reason, awaits_check=False)
    return replace(
        judgement, verdict=Verdict.UNKNOWN, reason=doubt, waits_for_reference=True, awaits_check=False
    )


def _judge_rules(evidence: Evidence, expectation: Expectation, day: Day, context: JudgeContext) -> Judgement:
    """The verdict of an expected day by the rules of `expectation`, all of which can be judged."""
    allowed = expectation.row_range(day, evidence.reference)
    if doubt := _nonsense(evidence, day):
        return Judgement(verdict=Verdict.UNKNOWN, rows=None, expected=str(allowed), reason=doubt)
    if doubt := _not_counted(evidence, expectation, day):
        return Judgement(verdict=Verdict.UNKNOWN, rows=evidence.rows, expected=str(allowed), reason=doubt)
    verdict, reason = _judge_rows(evidence, expectation, day, allowed)
    if verdict in _UNSATISFIED_ROWS and evidence.open and _is_open(evidence.open, context):
        verdict, reason = _open_run(evidence.open, context)
    elif verdict is Verdict.NEVER_RAN:
        verdict, reason = _explain_absence(evidence, context, allowed)
        if evidence.has_partition and verdict in (Verdict.NEVER_RAN, Verdict.NO_DATA):
            verdict, reason = _after_rewrite(evidence, context, _judge_empty(evidence, expectation, day))
        if verdict is not Verdict.COMPLETE:
            reason = "; ".join(filter(None, (reason, evidence.unread)))
    else:
        verdict, reason = _after_rewrite(evidence, context, (verdict, reason))
    return Judgement(verdict=verdict, rows=evidence.rows, expected=str(allowed), reason=reason)


def _judge_check(
    judgement: Judgement, evidence: Evidence, expectation: Expectation, day: Day, context: JudgeContext
) -> Judgement:
    """The judgement of the other rules, or what the check command says where they all hold."""
    check, run = expectation.check, evidence.check_run
    present = evidence.rows > 0 or bool(evidence.has_partition)
    if check is None or not present or judgement.verdict is not Verdict.COMPLETE:
        return judgement
    if run is None and not context.runs_checks:
        reason = "; ".join(filter(None, (judgement.reason, f"{check.name(day.date)} not run")))
        return replace(judgement, reason=reason, awaits_check=True)
    verdict, reason = check.judge_run(run, day.date) or (judgement.verdict, judgement.reason)
    if verdict is Verdict.DEGRADED and evidence.open and _is_open(evidence.open, context):
        verdict, reason = _open_run(evidence.open, context)
    return replace(judgement, verdict=verdict, reason=reason, awaits_check=verdict is Verdict.UNKNOWN)


_UNSATISFIED_ROWS = (
    *(Verdict.PARTIAL, Verdict.EXCESS, Verdict.DEGRADED, Verdict.NEVER_RAN),
    Verdict.UNKNOWN,  # a rule has nothing to compare with
)


def _bootstrap(day: Day, context: JudgeContext) -> str:
    days = context.bootstrap_days
    if not day.in_bootstrap(days):
        return ""
    return f"bootstrap: day {day.season_day} of {day.season}, nothing expected before day {days}"


def _nonsense(evidence: Evidence, day: Day) -> str:
    """What is impossible in the answers of warehouse and calendar; empty where nothing is."""
    parts = [*evidence.distinct.values(), evidence.distinct_keys, evidence.passing_rows]
    parts += evidence.empty_counts.values()
    if keys := evidence.keys:
        parts += (keys.extra,)
    if groups := evidence.groups:
        parts += (groups.groups, groups.too_small, groups.too_large, groups.smallest, groups.largest)
    counts = [count for count in parts if count is not None]
    if evidence.rows < 0 or any(count < 0 or count > evidence.rows for count in counts):
        return f"the warehouse's answer makes no sense: {pluralize(evidence.rows, 'row')}, parts {counts}"
    if evidence.reference is not None and evidence.reference < 0:
        rows = pluralize(evidence.reference, "row")
        return f"the warehouse's answer makes no sense: {rows} to measure against"
    if any(count < 0 for count in day.counts.values()):
        return f"the calendar's answer makes no sense: {format_counts(day.counts)}"
    return ""


def _not_counted(evidence: Evidence, expectation: Expectation, day: Day) -> str:
    """The figure that a rule needs and that is absent: a rule that cannot be checked does not hold."""
    for name in expectation.count_names:
        if name not in day.counts:
            return f"the calendar does not say how many {name} there are"
    if expectation.empty and not evidence.rows and evidence.has_partition is None:
        return "whether the partition exists was not read"
    absent = (rule.uncounted(evidence) for rule in expectation.rules.values()) if evidence.rows else ()
    return next(filter(None, absent), "")


def _judge_rows(evidence: Evidence, expectation: Expectation, day: Day, allowed: Range) -> Finding:
    """The verdict of the rows alone; NEVER_RAN when there are none to judge."""
    rows = evidence.rows
    if rows == 0:
        return Verdict.NEVER_RAN, ""
    if rows < allowed.least:
        return Verdict.PARTIAL, f"{rows} of {_floor(allowed)}"
    if allowed.most is not None and rows > allowed.most:
        counts = f" for {format_counts(day.counts)}" if day.counts else ""
        return Verdict.EXCESS, f"{pluralize(rows, 'row')}, at most {allowed.most}{counts}"
    findings = [found for rule in expectation.rules_on(day) if (found := rule.check(evidence, day))]
    # A rule that cannot be judged hides no rule that is broken.
    findings.sort(key=lambda finding: finding[0] is Verdict.UNKNOWN)
    return findings[0] if findings else (Verdict.COMPLETE, expectation.unjudged(evidence, day))


def _judge_empty(evidence: Evidence, expectation: Expectation, day: Day) -> Finding:
    """The verdict of a partition that exists and has no rows, by the rules that concern it."""
    findings = (rule.check_empty(evidence, day) for rule in expectation.rules_on(day))
    complete = Verdict.COMPLETE, "no rows, and the partition exists"
    return next((finding for finding in findings if finding), complete)


def _floor(allowed: Range) -> str:
    rows = pluralize(allowed.least, "row")
    return rows if allowed.least == allowed.most else f"at least {rows}"


def _open_run(run: HistoryRun, context: JudgeContext) -> Finding:
    return Verdict.RUNNING, f"a run is open in the history{_because(run)}, {_since(run, context)}"


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
        ago = f"a run that {_since(started, context)} never closed" if started else ""
        return Verdict.NEVER_RAN, f"no rows, {ago or 'no run recorded'}"
    latest, gone = max(runs, key=lambda run: run.started_at), _gone(context)
    if not latest.succeeded:
        return Verdict.FAILED, f"{gone}no rows, the latest run failed{_because(latest)}"
    if allowed.least == 0:
        return Verdict.COMPLETE, "no rows, and none are needed"
    return Verdict.NO_DATA, f"{gone}the latest run succeeded{_because(latest)}, but there are no rows"


def _gone(context: JudgeContext) -> str:
    """The rows that an attempt has left and that are not there now, as the begin of a reason; or empty."""
    left = [run for run in context.previous_attempts if run.left]
    return f"{max(left, key=lambda run: run.started_at).left} {GONE}; " if left else ""


def _after_rewrite(evidence: Evidence, context: JudgeContext, finding: Finding) -> Finding:
    """The finding of an output, or what a rerun that was to rewrite it did instead."""
    if not context.rewrite or context.last_attempt is None:
        return finding
    verdict, reason = _judge_rewrite(evidence, context, context.last_attempt) or finding
    if verdict is Verdict.COMPLETE and context.must_change and not _is_provable(evidence, context):
        reason = "; ".join(filter(None, ("rewrite not provable here", reason)))
    return verdict, reason


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
    unchanged = _is_provable(evidence, context) and evidence.write_stamp == context.stamp_before
    if unchanged and context.must_change:
        since = format_utc(attempt.started_at)
        return Verdict.UNTOUCHED, f"exited 0, but the partition was not rewritten since {since}"
    return None


def _is_provable(evidence: Evidence, context: JudgeContext) -> bool:
    return evidence.write_stamp is not None and context.stamp_before is not None


def _because(run: HistoryRun) -> str:
    return f" ({run.detail})" if run.detail else ""


def _since(run: HistoryRun, context: JudgeContext) -> str:
    """When a run started. A start in the future is one of another time zone, or of another clock."""
    seconds = context.now - run.started_at
    if seconds < 0:
        ahead = format_duration(-seconds)
        return f"started {ahead} in the future; check `timezone` of [history] and the clocks"
    return (
        f"started {seconds / 3600:.1f} h ago"
        if seconds >= 3600
        else f"started {format_duration(seconds)} ago"
    )
