"""Evidence, verdicts and `judge`: what the warehouse's answer means. Pure.

Rows beat history; history only explains absence. An exit code is history too, and the weakest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from backfilld.state.rules.calendar import Day
from backfilld.state.rules.expectation import Expectation, Range
from backfilld.state.rules.row_range import as_written, ramp_step, row_range


class Verdict(StrEnum):
    """What the evidence of one (processor, date) means."""

    COMPLETE = "complete"
    """Rows within expectation, and quality holds; or none are needed, and the latest run ended well."""
    NOT_EXPECTED = "not_expected"
    """No games, out of season, or bootstrap."""
    PARTIAL = "partial"
    """Too few rows, or games."""
    EXCESS = "excess"
    """Too many rows, or games."""
    DEGRADED = "degraded"
    """Enough rows, and not good enough."""
    NEVER_RAN = "never_ran"
    """No rows, and no run that ended."""
    NO_DATA = "no_data"
    """No rows, though the latest run ended well."""
    FAILED = "failed"
    """No rows, and the latest run failed."""
    RUNNING = "running"
    """Something is wanting, and somebody's run is open."""
    UNKNOWN = "unknown"
    """The warehouse could not be asked, or its answer makes no sense: never taken for an answer."""

    @property
    def symbol(self) -> str:
        """The sign operators know."""
        return _SYMBOLS[self]

    @property
    def satisfied(self) -> bool:
        """Whether the warehouse holds what is expected."""
        return self in (Verdict.COMPLETE, Verdict.NOT_EXPECTED)


_SYMBOLS = {
    Verdict.COMPLETE: "✓",
    Verdict.NOT_EXPECTED: "–",
    Verdict.PARTIAL: "⚠",
    Verdict.EXCESS: "⚠",
    Verdict.DEGRADED: "⚠",
    Verdict.NEVER_RAN: "○",
    Verdict.NO_DATA: "○",
    Verdict.FAILED: "✗",
    Verdict.RUNNING: "▷",
    Verdict.UNKNOWN: "△",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRun:
    """One run of a processor for a date: a row of the platform's history, or our own attempt."""

    succeeded: bool
    started_at: float
    ended_at: float | None = None
    detail: str = ""
    """The platform's error text or status word, or how our own attempt ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the warehouse says of one (processor, date).

    `good` counts the rows that hold the quality predicate, `empty_counts` the NULL or zero rows per column,
    `reference` the rows of the table it is measured against. None means: not asked.
    """

    rows: int = 0
    games: int | None = None
    good: int | None = None
    empty_counts: Mapping[str, int] = field(default_factory=dict)
    reference: int | None = None
    closed: HistoryRun | None = None
    open: HistoryRun | None = None
    error: str = ""
    """Why the warehouse could not be asked; the rest means nothing then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with the figures and the sentence that explain it."""

    verdict: Verdict
    rows: int | None
    expected: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeContext:
    """What `judge` must know beside evidence and expectation."""

    now: float
    stale_after: float
    """Seconds after which an open run counts as never closed."""
    bootstrap_days: int = 0
    own: HistoryRun | None = None
    """Our latest attempt for this (processor, date)."""
    earlier: tuple[HistoryRun, ...] = ()
    """Our attempts before that one (or all of them): their leftover open runs must not block either."""


def judge(evidence: Evidence, expectation: Expectation, day: Day, about: JudgeContext) -> Judgement:
    """Say what the evidence means. Total: every evidence, expectation and day has a verdict."""
    if not day.expected:
        return Judgement(verdict=Verdict.NOT_EXPECTED, rows=None, expected="0", reason=day.reason)
    if day.in_bootstrap(about.bootstrap_days):
        return _bootstrap(day, about.bootstrap_days)
    if evidence.error:
        return Judgement(verdict=Verdict.UNKNOWN, rows=None, expected="", reason=evidence.error)
    allowed = row_range(expectation, day, evidence.reference)
    if puzzle := _nonsense(evidence, day) or _unasked(evidence, expectation, day):
        return Judgement(verdict=Verdict.UNKNOWN, rows=evidence.rows, expected=str(allowed), reason=puzzle)
    verdict, reason = _by_rows(evidence, expectation, day, allowed)
    if verdict in _UNSATISFIED_ROWS and evidence.open and _is_open(evidence.open, about):
        since = f"started {_hours(evidence.open, about)} ago"
        verdict, reason = Verdict.RUNNING, f"a run is open in the history{_because(evidence.open)}, {since}"
    elif verdict is Verdict.NEVER_RAN:
        verdict, reason = _absence(evidence, about, allowed)
    return Judgement(verdict=verdict, rows=evidence.rows, expected=str(allowed), reason=reason)


_UNSATISFIED_ROWS = (Verdict.PARTIAL, Verdict.EXCESS, Verdict.DEGRADED, Verdict.NEVER_RAN)


def _bootstrap(day: Day, days: int) -> Judgement:
    reason = f"bootstrap: day {day.season_day} of {day.season}, nothing expected before day {days}"
    return Judgement(verdict=Verdict.NOT_EXPECTED, rows=None, expected="0", reason=reason)


def _nonsense(evidence: Evidence, day: Day) -> str:
    parts = [evidence.games, evidence.good, *evidence.empty_counts.values()]
    counts = [count for count in parts if count is not None]
    if evidence.rows < 0 or any(count < 0 or count > evidence.rows for count in counts):
        return f"the warehouse's answer makes no sense: {evidence.rows} rows, parts {counts}"
    if evidence.reference is not None and evidence.reference < 0:
        return f"the warehouse's answer makes no sense: {evidence.reference} rows to measure against"
    if day.games is not None and day.games < 0:
        return f"the calendar's answer makes no sense: {day.games} games"
    return ""


def _unasked(evidence: Evidence, expectation: Expectation, day: Day) -> str:
    """The figure that a rule needs and nobody asked for: a rule that cannot be checked does not hold."""
    if expectation.needs_games and day.games is None:
        return "the calendar does not say how many games there are"
    if evidence.rows == 0:
        return ""
    if expectation.games_column and evidence.games is None:
        return f"the distinct {expectation.games_column} were not counted"
    if expectation.quality and evidence.good is None:
        return f"the rows that hold {expectation.quality.where} were not counted"
    columns = expectation.filled.columns if expectation.filled else ()
    missing = [column for column in columns if column not in evidence.empty_counts]
    return f"the NULL or zero rows of {missing[0]} were not counted" if missing else ""


def _by_rows(evidence: Evidence, expectation: Expectation, day: Day, allowed: Range) -> tuple[Verdict, str]:
    """The verdict of the rows alone; NEVER_RAN when there are none to judge."""
    rows = evidence.rows
    if rows == 0:
        return Verdict.NEVER_RAN, ""
    if rows < allowed.least:
        return Verdict.PARTIAL, f"{rows} of {_floor(allowed)} rows"
    if allowed.most is not None and rows > allowed.most:
        return Verdict.EXCESS, f"{rows} rows{_for_games(day)}, at most {allowed.most}"
    if expectation.ratio and not evidence.reference and not ramp_step(expectation, day):
        return Verdict.PARTIAL, f"{expectation.ratio.of}, which it is measured against, has no rows"
    return (
        _by_games(evidence, expectation, day) or _by_quality(evidence, expectation) or (Verdict.COMPLETE, "")
    )


def _floor(allowed: Range) -> str:
    return f"{allowed.least}" if allowed.least == allowed.most else f"at least {allowed.least}"


def _for_games(day: Day) -> str:
    if day.games is None:
        return ""
    return f" for {day.games} game{'s' if day.games != 1 else ''}"


def _by_games(evidence: Evidence, expectation: Expectation, day: Day) -> tuple[Verdict, str] | None:
    if not expectation.games_column or day.games is None or evidence.games in (None, day.games):
        return None
    if evidence.games is not None and evidence.games > day.games:
        return Verdict.EXCESS, f"{evidence.games} distinct games, the calendar has {day.games}"
    return Verdict.PARTIAL, f"{evidence.games} of {day.games} games"


def _by_quality(evidence: Evidence, expectation: Expectation) -> tuple[Verdict, str] | None:
    rows, quality, filled = evidence.rows, expectation.quality, expectation.filled
    if quality and evidence.good is not None and evidence.good < as_written(quality.share) * rows:
        share, least = 100 * evidence.good / rows, 100 * quality.share
        reason = (
            f"{evidence.good} of {rows} rows ({share:.1f} %) hold {quality.where}, at least {least:g} % must"
        )
        return Verdict.DEGRADED, reason
    if filled:
        for column in filled.columns:
            empty = evidence.empty_counts.get(column, 0)
            if empty > as_written(filled.share) * rows:
                limit = f"{100 * filled.share:g} %"
                return (
                    Verdict.DEGRADED,
                    f"{column} is NULL or zero in {empty} of {rows} rows, at most {limit} may",
                )
    return None


def _is_open(run: HistoryRun, about: JudgeContext) -> bool:
    """Whether somebody is at work: the run is not stale, and not a leftover of an ended attempt of ours.

    A start far in the future is no better than a stale one: nothing may be waited for without end.
    """
    if not abs(about.now - run.started_at) <= about.stale_after:
        return False
    ours = (about.own, *about.earlier)
    return not any(
        own.started_at <= run.started_at <= own.ended_at for own in ours if own and own.ended_at is not None
    )


def _absence(evidence: Evidence, about: JudgeContext, allowed: Range) -> tuple[Verdict, str]:
    """Why there are no rows, by the latest run that ended."""
    own = about.own if about.own and about.own.ended_at is not None else None
    runs = [run for run in (evidence.closed, own) if run is not None]
    if not runs:
        started = evidence.open
        run = (
            f"a run that started {_hours(started, about)} ago never closed" if started else "no run recorded"
        )
        return Verdict.NEVER_RAN, f"no rows, {run}"
    latest = max(runs, key=lambda run: run.started_at)
    if not latest.succeeded:
        return Verdict.FAILED, f"no rows, the latest run failed{_because(latest)}"
    if allowed.least == 0:
        return Verdict.COMPLETE, "no rows, and none are needed"
    return Verdict.NO_DATA, f"the latest run succeeded{_because(latest)}, but there are no rows"


def _because(run: HistoryRun) -> str:
    return f" ({run.detail})" if run.detail else ""


def _hours(run: HistoryRun, about: JudgeContext) -> str:
    return f"{(about.now - run.started_at) / 3600:.1f} h"
