"""How a world comes to its end: the faults stop, somebody helps, and what was done is looked at again."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING

from backfilld.daemon.engine.operator_commands import Conflict
from backfilld.state.records import Mark
from tests.simulation.external_events import OPERATOR, enqueue, retry_marked
from tests.simulation.help import Help
from tests.simulation.quiescence_invariants import Violation, day_of

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

EVER = {"start": dt.date.min, "end": dt.date.max}
MOST_HELP = 8
"""How often a person looks at what has come to rest and helps it on."""


def end(sim: Simulation) -> None:
    """Help everything to its end; then let the aftermath come, and mend what it has damaged.

    Raises:
        Violation: it does not end, or an invariant does not hold.
    """
    _calm_down(sim)
    sim.invariants.revalidation.an_hour_later()
    _help_on(sim)
    sim.invariants.ended()
    if sim.scenario.aftermath:
        sim.expect(sim.scenario.aftermath)
        sim.run_until_quiescent()
        _help_on(sim)
    for _ in range(MOST_HELP):
        _sweep(sim)
        since, forced = sim.time, _force_stale_without_job(sim)
        retried = Counter({mark: len(retry_marked(sim.commands, mark, **EVER)) for mark in Mark})
        if not forced and not retried.total():
            sim.invariants.marked.nothing_lacks()
            sim.invariants.truth.settled()
            return
        if not forced and not retried[Mark.REGRESSED]:
            sim.wake()
            sim.run_until_quiescent()
            sim.invariants.marked.stale_debt_is_paid(since)
        _help_on(sim)
    raise Violation("liveness", "dates stay marked, however often they are retried")


def _calm_down(sim: Simulation) -> None:
    """From now on nothing goes wrong."""
    sim.emit("the faults stop")
    sim.platform.calm_down()
    for process in sim.executor.alive.values():
        process.work.dies_after = 0.0
    sim.warehouse.down, sim.warehouse.retry_at, sim.warehouse.budget = "", None, None
    sim.warehouse.broken.clear()


def _help_on(sim: Simulation) -> None:
    """Help until every date has ended well, or help is of no use."""
    for _ in range(MOST_HELP):
        sim.rechecks = 0
        _help(sim)
        sim.run_until_quiescent()
        if not sim.invariants.unfinished():
            return


def _help(sim: Simulation) -> None:
    """What a person does who wants everything to end: lift, resume, retry, fill what nobody runs."""
    sim.commands.resume_everything(by=OPERATOR)
    for hold in sim.commands.holds():
        sim.commands.release(hold.kind, hold.key, by=OPERATOR)
    known = Help(sim)
    for pair in known.outputs_without_own_run():
        sim.platform.put(pair, 1.0)
    for number, row in list(sim.invariants.requests.items()):
        if row["paused_at"] is not None or row["stopped_at"] is not None:
            with contextlib.suppress(Conflict):
                sim.commands.resume(number, by=OPERATOR)
    for date in (*sim.invariants.partly_selected(), *known.periods_without_a_date()):
        enqueue(sim, date, date)
    for date in (*sim.invariants.failed(), *known.dates_behind_pipeline(), *known.expected_after_all()):
        sim.commands.retry_date(date, by=OPERATOR)
    sim.wake()


def _sweep(sim: Simulation) -> None:
    """Look at every done date once more; those that ended before a clock was set back are due later.

    Beside an open run, an output that lacks rows is `running`, and its date gets no mark: such a run is too
    old to count by then.
    """
    engine = sim.pipeline.engine
    too_old = [run.started_at + sim.pipeline.stale_after + 1.0 for run in sim.warehouse.open.values()]
    # A date whose check has to run first is swept again once that has a result.
    waits = [
        max([engine.revalidate_within + abs(sim.clock_offset), *(at - sim.time for at in too_old)]),
        *([engine.recheck_interval] if sim.pipeline.check_commands else []),
    ]
    for seconds in waits:
        sim.advance(sim.time + seconds)
        sim.engine.sweeper.run()
        sim.wake()
        sim.run_until_quiescent()


def _force_stale_without_job(sim: Simulation) -> int:
    """Compute stale outputs of the first phase again where the request of their date leaves its jobs out.

    A retry leaves them out too, so that this takes a new request. Returns how many dates that are.
    """
    first = {p.name for p in sim.pipeline.phase[0].processor}
    stale = sim.invariants.rows(
        "SELECT date, processor FROM checks JOIN dates USING (date)"
        " JOIN backfills ON backfills.id = dates.backfill_id"
        " WHERE checks.stale_at IS NOT NULL AND dates.ended_at IS NOT NULL AND sources != 'all'"
    )
    chosen = sorted({day_of(row["date"]) for row in stale if row["processor"] in first})
    for date in chosen:
        sim.invariants.truth.asking("enqueue", {"force": True})
        enqueue(sim, date, date, force=True)
    return len(chosen)
