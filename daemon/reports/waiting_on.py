"""`waiting_on`: what a live date waits for, in one sentence with the root cause and the command that helps.

The holder of a slot and the blocking earlier date change without an event of the waiting date, so they are
read here, when the sentence is requested. Everything else is stored with the date.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.free_slots import checks_in_pool, in_pool
from backfilld.daemon.reports.wait_causes import CauseReader
from backfilld.state.formatting import format_utc, join_truncated
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import AttemptRow, CheckRow, DateRow, HoldRow, Runnable
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import attempts, check_command_runs, holds, runnable_jobs
from backfilld.state.store.database import Transaction

_NAMED = 10
"""How many processors a sentence names before it counts the rest."""
_STOPPED_BY_PAUSE = (
    WaitReason.SLOT,
    WaitReason.PAUSED,
    WaitReason.RETRY,
    WaitReason.WINDOW,
    WaitReason.ENGINE,
)
_STOPPED_BY_WAREHOUSE = (WaitReason.VERDICT, WaitReason.CALENDAR, WaitReason.SLOT)


@dataclass(frozen=True, slots=True)
class WaitContext:
    """Facts about all dates, read once for the dates in question."""

    engine: EngineContext
    running: Sequence[AttemptRow]
    holds: Sequence[HoldRow]
    checks: Mapping[dt.date, Mapping[str, CheckRow]]
    """Those that are under way: no sentence is about the others."""
    check_runs: Collection[Pair]
    """The check commands that run."""
    causes: CauseReader

    def hold(self, kind: str) -> HoldRow | None:
        """The hold of a kind, where there is one."""
        return next((hold for hold in self.holds if hold.kind == kind), None)


def waiting_on(tx: Transaction, context: EngineContext, rows: Sequence[DateRow]) -> dict[dt.date, str]:
    """What each live date of `rows` waits for; dates that have ended are left out."""
    live = [row for row in rows if row.state not in FINAL]
    if not live:
        return {}
    active_holds = holds.all_holds(tx)
    wait_context = WaitContext(
        engine=context,
        running=attempts.running(tx),
        holds=active_holds,
        causes=CauseReader(tx, context, active_holds, live),
        checks=runnable_jobs.under_way(tx, [row.date for row in live]),
        check_runs=check_command_runs.running(tx, context.pipeline.check_commands),
    )
    return {row.date: _sentence(wait_context, row) for row in live}


def reason_under_holds(waiting: str, active_holds: Sequence[HoldRow]) -> str:
    """The wait reason of a date whose row has `waiting`.

    The engine does not evaluate all dates again for a pause of everything, nor while the warehouse is not
    queried, so their rows keep the earlier reason.
    """
    kinds = {hold.kind for hold in active_holds}
    if holds.EVERYTHING in kinds and waiting in _STOPPED_BY_PAUSE:
        return WaitReason.PAUSED
    if holds.WAREHOUSE in kinds and waiting in _STOPPED_BY_WAREHOUSE:
        return WaitReason.WAREHOUSE
    return waiting


def with_holds(tx: Transaction, rows: Sequence[DateRow]) -> list[DateRow]:
    """The dates with the wait reasons that the pause of everything and the hold of the warehouse give."""
    active_holds = holds.all_holds(tx)
    return [row._replace(waiting=reason_under_holds(row.waiting, active_holds)) for row in rows]


def _sentence(context: WaitContext, row: DateRow) -> str:
    everything = context.hold(holds.EVERYTHING)
    if everything is not None and row.waiting in _STOPPED_BY_PAUSE:
        return f"{everything.text}; backfilld resume"
    describe = _DESCRIBERS.get(row.waiting)
    described = describe(context, row, context.checks.get(row.date, {})) if describe else row.waiting_text
    return described or "the engine's next turn"


def _query(context: WaitContext, row: DateRow, by_name: Mapping[str, CheckRow]) -> str:
    if hold := _warehouse_hold(context):
        return hold
    if row.waiting == WaitReason.CALENDAR:
        return "the calendar's answer"
    if row.waiting_text:
        return f"{row.waiting_text}{_at(', at', row)}"
    stage = context.engine.pipeline.stage.get(row.state)
    names = [p.name for p in stage.processors] if stage else []
    queried = [name for name in names if name in by_name and by_name[name].query_due_at]
    about = f" about {join_truncated(queried, _NAMED)}" if queried else ""
    return f"the warehouse's answer{about}"


def _warehouse_hold(context: WaitContext) -> str:
    """Why the warehouse is not queried now, and until when; empty where it is."""
    hold = context.hold(holds.WAREHOUSE)
    if hold is None:
        return ""
    if hold.until is None:
        return f"{hold.text}; backfilld release warehouse"
    return f"{hold.text}; it is queried again at {format_utc(hold.until)}"


def _unanswered(context: WaitContext, row: DateRow, by_name: Mapping[str, CheckRow]) -> str:
    return _warehouse_hold(context) or row.waiting_text


def _attempt(context: WaitContext, row: DateRow, by_name: Mapping[str, CheckRow]) -> str:
    running = [(c.attempt_id, c.processor) for c in by_name.values() if c.attempt_id is not None]
    messages = context.engine.status_messages
    attempts = ", ".join(f"attempt {n} of {name}{_because(messages.get(n, ''))}" for n, name in running)
    return "; ".join(filter(None, [attempts, row.waiting_text]))


def _slot(context: WaitContext, row: DateRow, by_name: Mapping[str, CheckRow]) -> str:
    """The slot that is taken: of the sequential phase, of an output table, or of `slots`."""
    if hold := _warehouse_hold(context):
        return hold
    runnable = [check.processor for check in by_name.values() if check.runnable == Runnable.NOW]
    pipeline = context.engine.pipeline
    stage = pipeline.stage.get(row.state)
    if not runnable or stage is None:
        return "a slot"
    first = pipeline.processors[runnable[0]]
    in_sequence = [a for a in context.running if a.sequence == stage.phase.name]
    unavailable = context.engine.unavailable.get(first.executor)
    reason = unavailable or _pool_slot(context, first) or _executor_slot(context, first)
    if stage.phase.sequential and (in_sequence or not reason):
        return f"a slot of {stage.phase.name}{_runs(next(iter(in_sequence), None))}"
    if reason:
        return reason
    writer = next((a for a in context.running if a.output == first.table), None)
    if writer is not None:
        return f"a writer of {first.table}{_runs(writer)}"
    names = join_truncated(runnable, _NAMED)
    return f"a slot for {names}: {len(context.running)} of {pipeline.jobs.slots} are taken"


def _pool_slot(context: WaitContext, processor: Processor) -> str:
    """The pool that is full, with what runs in it; empty where the processor has none or a slot is free."""
    pipeline, pool = context.engine.pipeline, processor.pool
    if pool is None:
        return ""
    size, users = pipeline.pool_sizes[pool], in_pool(pipeline, pool, context.running)
    checking = checks_in_pool(pipeline, pool, context.check_runs)
    taken = len(users) + len(checking)
    if taken < size:
        return ""
    of_check = "" if users else f": {checking[0][0]} runs the check of {checking[0][1]}"
    return (
        f"a slot of the pool {pool}: {taken} of {size} are taken{_runs(next(iter(users), None)) or of_check}"
    )


def _executor_slot(context: WaitContext, processor: Processor) -> str:
    """The limit of the processor's executor; empty where it has none or is below it."""
    slots = context.engine.pipeline.executor_of(processor).slots
    taken = sum(1 for attempt in context.running if attempt.executor == processor.executor)
    if slots is None or taken < slots:
        return ""
    return f"a slot of the executor {processor.executor}: {taken} of {slots} are taken"


def _runs(attempt: AttemptRow | None) -> str:
    return f": {attempt.date} runs {attempt.processor}" if attempt else ""


def _retry(context: WaitContext, row: DateRow, by_name: Mapping[str, CheckRow]) -> str:
    return f"{row.waiting_text}{_at(', tried again at', row)}"


def _at(words: str, row: DateRow) -> str:
    """When the engine evaluates the date again, after `words`; empty where only an event makes it do so."""
    return f"{words} {format_utc(row.due_at)}" if row.due_at else ""


def _cause(context: WaitContext, row: DateRow, by_name: Mapping[str, CheckRow]) -> str:
    return context.causes.cause(row).text


Describer = Callable[[WaitContext, DateRow, Mapping[str, CheckRow]], str]
"""Describes the wait of one date, given its checks by processor; empty where there is nothing to say."""

_DESCRIBERS: Mapping[str, Describer] = {
    WaitReason.VERDICT: _query,
    WaitReason.WAREHOUSE: _unanswered,
    WaitReason.CALENDAR: _query,
    WaitReason.ATTEMPT: _attempt,
    WaitReason.SLOT: _slot,
    WaitReason.RETRY: _retry,
    WaitReason.HELD: _cause,
    WaitReason.EARLIER_DATE: _cause,
    WaitReason.PERIOD: _cause,
    WaitReason.UNSELECTED: _cause,
}


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
