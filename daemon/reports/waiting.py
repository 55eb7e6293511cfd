"""`waiting_on`: one true sentence about what a live date waits for, made when somebody looks.

Only what cannot change behind a date's back is stored with it; who holds the slot it waits for, and which
earlier date bars its way, is read now.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backfilld.daemon.engine import lookback
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.lookback import Window
from backfilld.state.formatting import format_utc
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import AttemptRow, CheckRow, DateRow, HoldRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL
from backfilld.state.store import attempts, checks, holds
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True)
class _Scene:
    """What is true of everything, read once for many dates."""

    tx: Transaction
    context: EngineContext
    running: Sequence[AttemptRow]
    holds: Mapping[str, HoldRow]
    checks: Mapping[dt.date, Mapping[str, CheckRow]]
    windows: Mapping[dt.date, Window]
    missing_upstream: dict[tuple[str, dt.date], tuple[dt.date, str]] = field(default_factory=dict)


def waiting_on(tx: Transaction, context: EngineContext, rows: Sequence[DateRow]) -> dict[dt.date, str]:
    """What each of the dates waits for; ended dates wait for nothing and are left out."""
    live = [row for row in rows if row.state not in FINAL]
    if not live:
        return {}
    scene = _Scene(
        tx=tx,
        context=context,
        running=attempts.running(tx),
        holds={hold.kind: hold for hold in holds.all_holds(tx)},
        checks=checks.for_dates(tx, [row.date for row in live]),
        windows=lookback.windows(
            tx, context, [row for row in live if row.waiting == WaitReason.EARLIER_DATE]
        ),
    )
    return {row.date: _sentence(scene, row) for row in live}


def _sentence(scene: _Scene, row: DateRow) -> str:
    everything = scene.holds.get("all")
    if everything is not None and row.waiting in (
        WaitReason.SLOT,
        WaitReason.PAUSED,
        WaitReason.RETRY,
        WaitReason.ENGINE,
    ):
        return f"everything is paused by {everything.actor}{_because(everything.reason)}"
    tell = _TELLERS.get(row.waiting)
    own = scene.checks.get(row.date, {})
    return (tell(scene, row, own) if tell else row.waiting_text) or "the engine's next turn"


def _question(scene: _Scene, row: DateRow, own: Mapping[str, CheckRow]) -> str:
    if away := _away(scene):
        return away
    if row.waiting == WaitReason.CALENDAR:
        return "the calendar's answer"
    stage = scene.context.pipeline.stage.get(row.state)
    asked = [p.name for p in stage.processors if p.name in own and own[p.name].query_due_at] if stage else []
    return f"the warehouse's answer about {', '.join(asked)}" if asked else "the warehouse's answer"


def _away(scene: _Scene) -> str:
    """Why the warehouse is not asked now, and until when; empty where it is."""
    hold = scene.holds.get(holds.WAREHOUSE)
    if hold is None:
        return ""
    again = f", asked again at {format_utc(hold.until)}" if hold.until is not None else ""
    return f"the warehouse: {hold.reason}{again}"


def _attempt(scene: _Scene, row: DateRow, own: Mapping[str, CheckRow]) -> str:
    running = [(check.attempt_id, check.processor) for check in own.values() if check.attempt_id is not None]
    return ", ".join(
        f"attempt {n} of {name}{_because(scene.context.status_messages.get(n, ''))}" for n, name in running
    )


def _slot(scene: _Scene, row: DateRow, own: Mapping[str, CheckRow]) -> str:
    """Which slot: of the sequential phase, of an output table, or any; none while it could not start."""
    if away := _away(scene):
        return away
    wanted = [check.processor for check in own.values() if check.runnable]
    stage = scene.context.pipeline.stage.get(row.state)
    if not wanted or stage is None:
        return "a slot"
    if stage.phase.sequential:
        holder = next((a for a in scene.running if a.sequence == stage.phase.name), None)
        return f"a slot of {stage.phase.name}{_runs(holder)}"
    first = scene.context.pipeline.processors[wanted[0]]
    if unavailable_reason := scene.context.unavailable.get(first.executor):
        return unavailable_reason
    table = first.table
    writer = next((a for a in scene.running if a.output == table), None)
    if writer is not None:
        return f"a writer of {table}{_runs(writer)}"
    return _executor_slot(scene, first) or _any_slot(scene, wanted)


def _executor_slot(scene: _Scene, processor: Processor) -> str:
    """The limit of the processor's executor; empty while it has none or is below it."""
    slots = scene.context.pipeline.executor_of(processor).slots
    taken = sum(1 for attempt in scene.running if attempt.executor == processor.executor)
    if slots is None or taken < slots:
        return ""
    return f"a slot of the executor {processor.executor}: {taken} of {slots} are taken"


def _any_slot(scene: _Scene, wanted: Sequence[str]) -> str:
    slots = scene.context.pipeline.jobs.slots
    return f"a slot for {', '.join(wanted)}: {len(scene.running)} of {slots} are taken"


def _runs(attempt: AttemptRow | None) -> str:
    return f": {attempt.date} runs {attempt.processor}" if attempt else ""


def _retry(scene: _Scene, row: DateRow, own: Mapping[str, CheckRow]) -> str:
    at = f", not before {format_utc(row.due_at)}" if row.due_at else ""
    return f"the next attempt of {row.waiting_text}{at}"


def _earlier(scene: _Scene, row: DateRow, own: Mapping[str, CheckRow]) -> str:
    window = scene.windows.get(row.date)
    if window is None:
        return ""
    if (window.phase.name, window.start) not in scene.missing_upstream:
        scene.missing_upstream[window.phase.name, window.start] = _first_hole(scene, window)
    date, told = scene.missing_upstream[window.phase.name, window.start]
    return told if date < row.date else ""


def _first_hole(scene: _Scene, window: Window) -> tuple[dt.date, str]:
    """The first hole from a start on, as a date and a sentence; it is the same for all dates behind it."""
    found = lookback.missing_upstream(scene.tx, replace(window, end=dt.date.max))
    if found is None:
        return dt.date.max, ""
    check = checks.for_dates(scene.tx, [found[0]])[found[0]].get(found[1])
    return found[0], lookback.sentence(found, window.phase, str(check.verdict) if check else "unknown")


_Teller = Callable[[_Scene, DateRow, Mapping[str, CheckRow]], str]
_TELLERS: Mapping[str, _Teller] = {
    WaitReason.VERDICT: _question,
    WaitReason.CALENDAR: _question,
    WaitReason.ATTEMPT: _attempt,
    WaitReason.SLOT: _slot,
    WaitReason.RETRY: _retry,
    WaitReason.EARLIER_DATE: _earlier,
}


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
