"""How a world comes to its end: the faults stop, somebody helps, and what was done is looked at again."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING

from backfilld.daemon.engine.commands import Conflict
from backfilld.state.records import Mark
from tests.simulation.external_events import SOMEONE
from tests.simulation.quiescence_invariants import Broken

if TYPE_CHECKING:
    from tests.simulation.simulation import Life

MOST_HELP = 8
"""How often a person looks at what has come to rest and helps it on."""


def end(life: Life) -> None:
    """Help everything to its end; then let the aftermath come, and mend what it has damaged.

    Raises:
        Broken: it does not end, or an invariant does not hold.
    """
    _calm_down(life)
    _help_on(life)
    life.witness.ended()
    if life.scenario.aftermath:
        life.expect(life.scenario.aftermath)
        life.go_on()
        _help_on(life)
    for _ in range(MOST_HELP):
        _sweep(life)
        if not _retry_marked(life):
            life.witness.nothing_lacks()
            return
        _help_on(life)
    raise Broken("liveness", "dates stay marked, however often they are retried")


def _calm_down(life: Life) -> None:
    """From now on nothing goes wrong."""
    life.emit("the faults stop")
    life.platform.calm = True
    for process in life.executor.alive.values():
        process.work.dies_after = 0.0
    life.warehouse.down, life.warehouse.retry_at, life.warehouse.budget = "", None, None
    life.warehouse.broken.clear()


def _help_on(life: Life) -> None:
    """Help until every date has ended well, or help is of no use."""
    for _ in range(MOST_HELP):
        life.rechecks = 0
        _help(life)
        life.go_on()
        if not life.witness.unfinished():
            return


def _help(life: Life) -> None:
    """What a person does who wants everything to end: lift, resume, retry, fill what nobody runs."""
    life.commands.resume_everything(by=SOMEONE)
    for hold in life.commands.holds():
        life.commands.release(hold.kind, hold.key, by=SOMEONE)
    for pair in life.witness.nobody_runs():
        life.platform.put(pair, 1.0)
    for number, row in list(life.witness.requests.items()):
        if row["paused_at"] is not None or row["stopped_at"] is not None:
            with contextlib.suppress(Conflict):
                life.commands.resume(number, by=SOMEONE)
    for date in (*life.witness.failed(), *life.witness.behind_the_file()):
        life.commands.retry_date(date, by=SOMEONE)
    life.wake()


def _sweep(life: Life) -> None:
    """Look at every done date once more; those that ended before a clock was set back are due later."""
    life.advance(life.time + life.pipeline.engine.revalidate_within + abs(life.leapt))
    life.engine.sweeper.run()
    life.wake()
    life.go_on()


def _retry_marked(life: Life) -> int:
    """Have done again what was damaged, and computed again what is stale; how many dates that are."""
    span = {"start": dt.date.min, "end": dt.date.max}
    return sum(len(life.commands.retry_marked(mark, **span, by=SOMEONE)) for mark in Mark)
