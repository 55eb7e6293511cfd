"""Evidence, verdicts and `judge`: what the warehouse's answer means. Pure.

Rows beat history; history only explains absence. An exit code is history too, and the weakest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from state.calendar import Day
from state.expectation import Expectation, Range


class Verdict(StrEnum):
    """What the evidence of one (processor, date) means."""

    COMPLETE = "complete"
    NOT_EXPECTED = "not_expected"
    PARTIAL = "partial"
    EXCESS = "excess"
    DEGRADED = "degraded"
    NEVER_RAN = "never_ran"
    NO_DATA = "no_data"
    FAILED = "failed"
    RUNNING = "running"
    UNKNOWN = "unknown"

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
class Run:
    """One run of a processor for a date: a row of the platform's history, or our own attempt."""

    succeeded: bool
    started_at: float
    ended_at: float | None = None
    detail: str = ""
    """The platform's error text or status word, or how our own attempt ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the warehouse says of one (processor, date).

    `good` counts the rows that hold the quality predicate, `hollow` the NULL or zero rows per column,
    `reference` the rows of the table it is measured against. None means: not asked.
    """

    rows: int = 0
    games: int | None = None
    good: int | None = None
    hollow: Mapping[str, int] = field(default_factory=dict)
    reference: int | None = None
    closed: Run | None = None
    open: Run | None = None
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
class Circumstances:
    """What `judge` must know beside evidence and expectation."""

    now: float
    stale_after: float
    """Seconds after which an open run counts as never closed."""
    bootstrap_days: int = 0
    own: Run | None = None
    """Our latest attempt for this (processor, date)."""


def judge(evidence: Evidence, expectation: Expectation, day: Day, about: Circumstances) -> Judgement:
    """Say what the evidence means. Total: every evidence, expectation and day has a verdict."""
    if not day.expected:
        return Judgement(verdict=Verdict.NOT_EXPECTED, rows=None, expected="0", reason=day.reason)
    if day.in_bootstrap(about.bootstrap_days):
        return _bootstrap(day, about.bootstrap_days)
    if evidence.error:
        return Judgement(verdict=Verdict.UNKNOWN, rows=None, expected="", reason=evidence.error)
    allowed = row_range(expectation, day, evidence.reference)
    verdict, reason = _nonsense(evidence) or _by_rows(evidence, expectation, day, allowed)
    if verdict in _UNSATISFIED_ROWS and _is_open(evidence.open, about):
        verdict, reason = Verdict.RUNNING, "a run is open in the history"
    elif verdict is Verdict.NEVER_RAN:
        verdict, reason = _absence(evidence.closed, about.own, allowed)
    return Judgement(verdict=verdict, rows=evidence.rows, expected=str(allowed), reason=reason)


_UNSATISFIED_ROWS = (Verdict.PARTIAL, Verdict.EXCESS, Verdict.DEGRADED, Verdict.NEVER_RAN)


def row_range(expectation: Expectation, day: Day, reference: int | None) -> Range:
    """How many rows a date may have. A ramp step replaces the plain rules until its day of the season."""
    for step in expectation.ramp:
        if day.season_day is not None and day.season_day < step.until_day:
            return Range(*step.rows)
    stated = expectation.rows or expectation.rows_per_game or expectation.ratio
    allowed = Range(0 if stated else 1, None)
    if expectation.rows:
        allowed = allowed.narrowed(*expectation.rows)
    if expectation.rows_per_game and day.games is not None:
        least, most = expectation.rows_per_game
        allowed = allowed.narrowed(least * day.games, None if most is None else most * day.games)
    if expectation.ratio and reference:
        ratio = expectation.ratio
        most = None if ratio.max is None else int(ratio.max * reference)
        allowed = allowed.narrowed(-int(-ratio.min * reference // 1), most)
    return allowed


def _bootstrap(day: Day, days: int) -> Judgement:
    reason = f"bootstrap: day {day.season_day} of {day.season}, nothing expected before day {days}"
    return Judgement(verdict=Verdict.NOT_EXPECTED, rows=None, expected="0", reason=reason)


def _nonsense(evidence: Evidence) -> tuple[Verdict, str] | None:
    counts = [
        count for count in (evidence.games, evidence.good, *evidence.hollow.values()) if count is not None
    ]
    if evidence.rows < 0 or any(count < 0 or count > evidence.rows for count in counts):
        return Verdict.UNKNOWN, f"the warehouse's answer makes no sense: {evidence.rows} rows, parts {counts}"
    return None


def _by_rows(evidence: Evidence, expectation: Expectation, day: Day, allowed: Range) -> tuple[Verdict, str]:
    """The verdict of the rows alone; NEVER_RAN when there are none to judge."""
    rows = evidence.rows
    if rows == 0:
        return Verdict.NEVER_RAN, ""
    if rows < allowed.least:
        return Verdict.PARTIAL, f"{rows} of {_floor(allowed)} rows"
    if allowed.most is not None and rows > allowed.most:
        return Verdict.EXCESS, f"{rows} rows{_for_games(day)}, at most {allowed.most}"
    if expectation.ratio and not evidence.reference:
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
    if quality and evidence.good is not None and evidence.good < quality.share * rows:
        share, least = 100 * evidence.good / rows, 100 * quality.share
        reason = (
            f"{evidence.good} of {rows} rows ({share:.1f} %) hold {quality.where}, at least {least:g} % must"
        )
        return Verdict.DEGRADED, reason
    if filled:
        for column in filled.columns:
            empty = evidence.hollow.get(column, 0)
            if empty > filled.share * rows:
                limit = f"{100 * filled.share:g} %"
                return (
                    Verdict.DEGRADED,
                    f"{column} is NULL or zero in {empty} of {rows} rows, at most {limit} may",
                )
    return None


def _is_open(run: Run | None, about: Circumstances) -> bool:
    """Whether somebody is at work: the run is not stale, and not a leftover of our own ended attempt."""
    if run is None or about.now - run.started_at > about.stale_after:
        return False
    own = about.own
    return not (own and own.ended_at is not None and own.started_at <= run.started_at <= own.ended_at)


def _absence(closed: Run | None, own: Run | None, allowed: Range) -> tuple[Verdict, str]:
    """Why there are no rows, by the latest run that ended."""
    runs = [run for run in (closed, own) if run is not None and run.ended_at is not None]
    if not runs:
        return Verdict.NEVER_RAN, "no rows, no run recorded"
    latest = max(runs, key=lambda run: run.started_at)
    if not latest.succeeded:
        return Verdict.FAILED, f"no rows, the latest run failed{_because(latest)}"
    if allowed.least == 0:
        return Verdict.COMPLETE, "no rows, and none are needed"
    return Verdict.NO_DATA, f"the latest run succeeded{_because(latest)}, but there are no rows"


def _because(run: Run) -> str:
    return f" ({run.detail})" if run.detail else ""
