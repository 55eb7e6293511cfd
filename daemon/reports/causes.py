"""The root causes of waits: what a live date waits for in the end, and whether that moves by itself.

A date behind an earlier date waits for what that one waits for, so the chain is followed to its root.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from backfilld.daemon.engine import lookback
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.lookback import Window
from backfilld.daemon.reports.remedies import helpful_command
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import CheckRow, DateRow, HoldRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks, dates
from backfilld.state.store.database import Transaction

_UNDECIDED = (Verdict.UNKNOWN, Verdict.RUNNING)
"""Verdicts that the warehouse is asked about again by itself."""

_FOR_OPERATOR = (WaitReason.PAUSED, WaitReason.UNSELECTED)
"""Waits that only an operator ends."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a date waits, as a sentence with its remedy, and whether only a person can end the wait."""

    text: str
    needs_operator: bool


@dataclass(frozen=True, slots=True)
class _Blocker:
    """The earliest missing date since `start`."""

    start: dt.date
    date: dt.date
    cause: Cause


class CauseReader:
    """Reads the causes of waits in one transaction. Dates behind the same date share its cause."""

    def __init__(self, tx: Transaction, context: EngineContext, active_holds: Sequence[HoldRow]) -> None:
        self._tx = tx
        self._context = context
        self._holds = active_holds
        self._blockers: dict[str, _Blocker] = {}

    def cause(self, row: DateRow, window: Window | None = None) -> Cause:
        """The cause of a live date's wait. `window` is its lookback; it is read where it is not given."""
        if row.waiting == WaitReason.HELD:
            cause = self._held(row)
        elif row.waiting == WaitReason.EARLIER_DATE:
            cause = self._behind(row, window)
        else:
            cause = Cause(row.waiting_text, row.waiting in _FOR_OPERATOR)
        if row.due_at is not None and row.due_at <= self._context.now():
            return Cause(cause.text, needs_operator=False)
        return cause

    def _held(self, row: DateRow) -> Cause:
        """The hold, with the command that releases it where it does not end by itself."""
        hold = next((h for h in self._holds if h.reason == row.waiting_text and h.until is None), None)
        command = f"; backfilld release {hold.kind} {hold.key}" if hold and hold.key else ""
        return Cause(f"{row.waiting_text}{command}", hold is not None)

    def _behind(self, row: DateRow, window: Window | None) -> Cause:
        window = window or lookback.windows(self._tx, self._context, [row]).get(row.date)
        blocker = self._blocker(window) if window else None
        return blocker.cause if blocker else Cause("", needs_operator=False)

    def _blocker(self, window: Window) -> _Blocker | None:
        """The earliest missing date of a window; None if it has none any more."""
        known = self._blockers.get(window.phase.name)
        if known is not None and known.start <= window.start <= known.date < window.end:
            return known
        missing = lookback.missing_upstream(self._tx, self._context, window)
        if missing is None:
            return None
        found = _Blocker(window.start, missing[0], self._missing(*missing))
        self._blockers[window.phase.name] = found
        return found

    def _missing(self, date: dt.date, processor: str) -> Cause:
        """Why an earlier date is not satisfied. Only a live one is filled by itself."""
        by_name = checks.for_dates(self._tx, [date])[date]
        row, check = dates.get(self._tx, date), by_name.get(processor)
        shown = f"{processor} is {check.verdict if check else 'unknown'}"
        if row is not None and row.state == FAILED:
            unsatisfied = {name: c.verdict for name, c in by_name.items() if not c.satisfied}
            command = helpful_command(date, row.outcome, unsatisfied)
            return Cause(f"blocked by {date}, which failed: {row.reason}; {command}", needs_operator=True)
        if row is None:
            text = f"blocked by {date}, which was never enqueued: {shown}; backfilld enqueue {date}"
            return Cause(text, _is_decided(check))
        if row.state == DONE:
            text = f"blocked by {date}, which is done, but {shown}; backfilld retry {date}"
            return Cause(text, _is_decided(check))
        inner = self.cause(row)
        if row.waiting == WaitReason.EARLIER_DATE and inner.text:
            return inner
        because = f": {inner.text}" if inner.text else ""
        return Cause(f"blocked by {date} in {row.state}: {shown}{because}", inner.needs_operator)


def _is_decided(check: CheckRow | None) -> bool:
    """Whether the warehouse has answered, so that it is not asked again soon."""
    return check is not None and check.asked_at is not None and check.verdict not in _UNDECIDED
