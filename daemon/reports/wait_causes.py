"""The root causes of waits: what a live date waits for in the end, and whether that moves by itself.

A date behind an earlier date waits for what that one waits for, so the chain is followed to its root.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.missing_upstream import Missing, UpstreamReader
from backfilld.daemon.engine.owning_backfills import read_owners
from backfilld.daemon.engine.partly_selected_dates import needed_now, selected_now, waited_for
from backfilld.daemon.reports.period_causes import Cause, PeriodCauses
from backfilld.daemon.reports.remedies import accept_command, helpful_command
from backfilld.daemon.reports.unselected_causes import UnselectedCauses
from backfilld.daemon.reports.upstream_remedy import fill_command
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import CheckRow, DateRow, HoldRow
from backfilld.state.rules.check_command_run import CheckRun
from backfilld.state.rules.evidence import UNTIL_CORRECTED
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.rules.verdict import UNCERTAIN, Verdict
from backfilld.state.store import calendar_days, check_command_runs, checks, dates, holds
from backfilld.state.store.database import Transaction

_UNDER_WAREHOUSE_HOLD = (WaitReason.VERDICT, WaitReason.CALENDAR, WaitReason.WAREHOUSE, WaitReason.SLOT)
"""Waits that a hold of the warehouse makes last, where only an operator ends it."""
_UNDER_PAUSE = (WaitReason.SLOT, WaitReason.RETRY, WaitReason.WINDOW)
"""Waits that the pause of everything makes last."""


@dataclass(frozen=True, slots=True)
class _Blocker:
    """The earliest missing upstream of a date, which blocks it."""

    date: dt.date
    missing: Missing
    ahead: Sequence[str]
    """The processors of the states that the date has not passed."""


class CauseReader:
    """Reads the causes of waits in one transaction. Dates behind the same date share its cause."""

    def __init__(
        self,
        tx: Transaction,
        context: EngineContext,
        active_holds: Sequence[HoldRow],
        rows: Sequence[DateRow],
    ) -> None:
        """`rows` are the dates in question: what blocks them is read at once."""
        self._tx = tx
        self._context = context
        self._holds = active_holds
        self._by_hold = held_by_operator(active_holds)
        self._upstream = UpstreamReader(tx, context)
        self._causes: dict[Missing, Cause] = {}
        self._unselected = UnselectedCauses(tx, context, rows)
        self._periods = PeriodCauses(tx, context, self.cause, self._is_decided)
        self._blockers = self._read_blockers(rows)
        self._check_runs: dict[dt.date, dict[str, CheckRun]] = {}
        self._read_check_runs(rows)

    def cause(self, row: DateRow) -> Cause:
        """The cause of a live date's wait."""
        if row.waiting in self._by_hold:
            return Cause(self._by_hold[WaitReason(row.waiting)], needs_operator=True)
        if row.waiting == WaitReason.HELD:
            cause = self._held(row)
        elif row.waiting == WaitReason.EARLIER_DATE:
            cause = self._behind(row)
        elif row.waiting == WaitReason.PERIOD:
            cause = self._periods.cause(row.date)
        elif row.waiting == WaitReason.WAREHOUSE:
            cause = self._unanswered(row)
        elif row.waiting == WaitReason.UNSELECTED:
            cause = Cause(self._unselected.text(row), needs_operator=True)
        else:
            never_opens = row.waiting == WaitReason.WINDOW and row.due_at is None
            cause = Cause(row.waiting_text, row.waiting == WaitReason.PAUSED or never_opens)
        if row.due_at is not None and row.due_at <= self._context.now():
            return Cause(cause.text, needs_operator=False)
        return cause

    def is_shared(self, row: DateRow) -> bool:
        """Whether what blocks a date is live or has failed: then all dates behind it have the same cause."""
        blocker = self._blocker(row)
        blocking = dates.get(self._tx, blocker.missing[0]) if blocker else None
        return blocking is not None and blocking.state != DONE

    def _held(self, row: DateRow) -> Cause:
        """The hold, with the command that releases it where it does not end by itself."""
        hold = next((h for h in self._holds if h.text == row.waiting_text and h.until is None), None)
        command = f"; backfilld release {hold.kind} {hold.key}" if hold and hold.key else ""
        return Cause(f"{row.waiting_text}{command}", hold is not None)

    def _unanswered(self, row: DateRow) -> Cause:
        """What an output without a verdict waits for: an operator, if no query or check has a result ever."""
        if row.date not in self._check_runs:
            self._read_check_runs([row])
        for name, run in self._check_runs[row.date].items():
            command = self._context.pipeline.check_commands[name]
            judged = command.judge_run(run, row.date)
            if run.needs_operator and judged == (Verdict.UNKNOWN, row.waiting_text):
                text = f"{command.name(row.date)} {run.latest_failure}; or {accept_command(row.date, name)}"
                return Cause(text, needs_operator=row.due_at is None)
        return Cause(row.waiting_text, needs_operator=UNTIL_CORRECTED in row.waiting_text)

    def _read_check_runs(self, rows: Sequence[DateRow]) -> None:
        """Read the runs of the check commands of dates whose outputs have no verdict."""
        names = self._context.pipeline.check_commands
        unanswered = [row.date for row in rows if row.waiting == WaitReason.WAREHOUSE]
        self._check_runs |= {date: {} for date in unanswered}
        for (date, name), run in check_command_runs.for_dates(self._tx, unanswered if names else ()).items():
            if date in self._check_runs and name in names:
                self._check_runs[date][name] = run

    def _behind(self, row: DateRow) -> Cause:
        """The cause of the date that blocks this one. A chain of blocked dates is read from its end."""
        blocker = first = self._blocker(row)
        chain: list[_Blocker] = []
        while blocker is not None and blocker.missing not in self._causes:
            chain.append(blocker)
            blocking = dates.get(self._tx, blocker.missing[0])
            blocker = self._blocker(blocking) if blocking is not None else None
        for link in reversed(chain):
            self._causes[link.missing] = self._missing(link)
        return self._causes[first.missing] if first else Cause("", needs_operator=False)

    def _blocker(self, row: DateRow) -> _Blocker | None:
        """What blocks a date that waits for an earlier one; None if nothing does."""
        if row.state in FINAL or row.waiting != WaitReason.EARLIER_DATE:
            return None
        if row.date not in self._blockers:
            self._blockers |= self._read_blockers([row])
        return self._blockers[row.date]

    def _read_blockers(self, rows: Sequence[DateRow]) -> dict[dt.date, _Blocker | None]:
        """What blocks each waiting date, in its state or in the one that follows."""
        behind = [row for row in rows if row.state not in FINAL and row.waiting == WaitReason.EARLIER_DATE]
        wanted = [row.date for row in behind]
        counts, stored = calendar_days.for_dates(self._tx, wanted), checks.for_dates(self._tx, wanted)
        owners = read_owners(self._tx, wanted)
        found: dict[dt.date, _Blocker | None] = dict.fromkeys(wanted)
        for row in behind:
            if row.date in counts and row.state in self._context.pipeline.stage:
                day = self._context.pipeline.seasons.day(row.date, counts[row.date])
                found[row.date] = self._first_missing(row, day, stored[row.date], owners[row.date])
        return found

    def _first_missing(
        self, row: DateRow, day: Day, stored: Mapping[str, CheckRow], owners: Ownership
    ) -> _Blocker | None:
        pipeline = self._context.pipeline
        stage = pipeline.stage[row.state]
        selected = selected_now(row, owners, stored)
        needed = needed_now(pipeline, selected, day)
        for other in (stage, *pipeline.stages[self._context.machine.after(stage, day) :][:1]):
            here = waited_for(other.processors, selected, needed)
            if missing := self._upstream.missing_of(here, day, stored):
                ahead = [p for later in pipeline.stages[stage.index :] for p in later.processors]
                expected = [p for p in waited_for(ahead, selected, needed) if pipeline.expects(p, day)]
                return _Blocker(row.date, min(missing.values()), [processor.name for processor in expected])
        return None

    def _missing(self, blocker: _Blocker) -> Cause:
        """Why a date that another one needs is not satisfied. Only a live one is filled by itself."""
        date, processor = blocker.missing
        by_name = checks.for_dates(self._tx, [date])[date]
        row, check = dates.get(self._tx, date), by_name.get(processor)
        shown = f"{processor} is {check.verdict if check else 'unknown'}"
        if check is not None and check.attempt_id is not None:
            shown = f"attempt {check.attempt_id} of {processor} is running"
        if row is not None and row.state == FAILED:
            unsatisfied = {name: c.verdict for name, c in by_name.items() if not c.satisfied}
            command = helpful_command(date, row.reason, unsatisfied)
            return Cause(f"blocked by {date}, which failed: {row.reason}; {command}", needs_operator=True)
        if row is None or row.state == DONE:
            graph = self._upstream.graph
            command = fill_command(self._tx, self._context, graph, blocker.ahead, blocker.date)
            state = "was never enqueued:" if row is None else "is done, but"
            text = f"blocked by {date}, which {state} {shown}; {command or f'backfilld enqueue {date}'}"
            return Cause(text, self._is_decided(processor, by_name))
        inner = self.cause(row)
        if row.waiting == WaitReason.EARLIER_DATE and inner.text:
            return inner
        because = f": {inner.text}" if inner.text else ""
        return Cause(f"blocked by {date} in {row.state}: {shown}{because}", inner.needs_operator)

    def _is_decided(self, processor: str, by_name: Mapping[str, CheckRow]) -> bool:
        """Whether the warehouse has answered, so that it is not queried again soon.

        An output that is unknown because the one it is compared with is not satisfied stays so.
        """
        check = by_name.get(processor)
        if check is None or check.asked_at is None:
            return False
        if check.verdict not in UNCERTAIN:
            return True
        of = self._context.pipeline.references.get(processor, "")
        waits = check.verdict is Verdict.UNKNOWN and of in by_name and not by_name[of].satisfied
        return waits and self._is_decided(of, by_name)


def causes_of_all(
    tx: Transaction, context: EngineContext, active_holds: Sequence[HoldRow], rows: Sequence[DateRow]
) -> Iterator[Cause]:
    """The causes of live dates in their order. Of thousands behind the same date, one is read.

    The engine has recorded what blocks a date that is not due. If that one is live or has failed, each date
    of the same state behind it has the same cause.
    """
    behind = [row for row in rows if row.waiting == WaitReason.EARLIER_DATE]
    first = {(row.state, row.waiting_text): row for row in reversed(behind)}
    others = [row for row in rows if row.waiting != WaitReason.EARLIER_DATE]
    reader = CauseReader(tx, context, active_holds, [*first.values(), *others])
    shared: dict[tuple[str, str], Cause] = {}
    for row in rows:
        key = (row.state, row.waiting_text)
        if row.waiting != WaitReason.EARLIER_DATE or row.due_at is not None:
            yield reader.cause(row)
        elif key in shared:
            yield shared[key]
        else:
            cause = reader.cause(row)
            if reader.is_shared(row):
                shared[key] = cause
            yield cause


def held_by_operator(active_holds: Sequence[HoldRow]) -> dict[WaitReason, str]:
    """The waits that a hold makes last until an operator ends it, with the sentence of that hold."""
    found: dict[WaitReason, str] = {}
    for hold in active_holds:
        if hold.kind == holds.EVERYTHING and hold.until is None:
            found |= dict.fromkeys(_UNDER_PAUSE, f"{hold.text}; backfilld resume")
        if hold.kind == holds.WAREHOUSE and (hold.until is None or UNTIL_CORRECTED in hold.reason):
            release = "; backfilld release warehouse" if hold.until is None else ""
            found |= dict.fromkeys(_UNDER_WAREHOUSE_HOLD, f"{hold.text}{release}")
    return found
