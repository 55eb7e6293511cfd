"""The decision of a gate in the engine: the pure `decide` with what the database holds of a date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from backfilld.daemon.engine import vanished_input_waits
from backfilld.daemon.engine.advance_batch import AdvanceBatch, DateWalk
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.partly_selected_dates import needed_now, selected_now, waited_for
from backfilld.state.pipeline.phase import Stage
from backfilld.state.records import CheckRow
from backfilld.state.rules.gates import Advance, Decision, GateContext, Start, Wait, WaitReason, decide


def decide_gate(
    context: EngineContext,
    batch: AdvanceBatch,
    walk: DateWalk,
    stage: Stage,
    date_checks: Mapping[str, CheckRow],
) -> Decision:
    """The decision of a gate. Earlier dates are read only where it would open or a job would start."""
    pipeline = context.pipeline
    owners, first_phase = batch.owners[walk.row.date], stage.phase is pipeline.phase[0]
    selected = selected_now(walk.row, owners, date_checks)
    needed = needed_now(pipeline, selected, batch.days.get(walk.row.date))
    gate = GateContext(
        now=context.now(),
        entered_at=walk.entered_at,
        sources=owners.sources,
        first_phase=first_phase,
        selected=selected,
        needed=needed,
        paused=owners.paused,
        paused_processors=owners.paused_processors(stage, first_phase=first_phase),
        held=batch.held,
        closed=batch.closed,
    )
    decision = decide(stage, date_checks, gate)
    if wait := vanished_input_waits.wait(batch, context, walk.row, stage, decision):
        return wait
    if not isinstance(decision, Advance | Start):
        return decision
    day = batch.days[walk.row.date]
    following = pipeline.stages[context.machine.after(stage, day) :][:1]
    here = waited_for(stage.processors, selected, needed)
    entered = waited_for((p for other in following for p in other.processors), selected, needed)
    missing = batch.upstream.missing_texts(here, day, date_checks)
    entry = batch.upstream.entry_text(entered, day, date_checks)
    if missing or entry:
        batch.unchecked.append(walk.row)
        return decide(stage, date_checks, replace(gate, missing_upstream=missing, blocks_entry=entry))
    unknown = batch.upstream.without_calendar([*here, *entered], day.date)
    return Wait(waiting=WaitReason.CALENDAR) if unknown else decision
