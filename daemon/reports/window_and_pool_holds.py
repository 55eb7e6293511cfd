"""Holds that follow from the pipeline file and the running jobs: closed windows and full pools.

No verb places or releases them: a window opens at its hour, a pool when one of its jobs ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.free_slots import checks_in_pool, in_pool
from backfilld.state.formatting import format_utc, join_truncated, pluralize
from backfilld.state.rules.closed_hours import delay
from backfilld.state.store import attempts, check_command_runs
from backfilld.state.store.database import Transaction

WINDOW, POOL = "window", "pool"
_NAMED = 4
"""How many processors or attempts a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedHold:
    """A closed window or a full pool: the fields of a `HoldRow`. Times are epoch seconds."""

    kind: str
    key: str
    reason: str
    since: float
    until: float | None
    """When the window opens; None for a pool, and for a window that never opens."""
    actor: ClassVar[str] = "pipeline file"
    derived: ClassVar[bool] = True

    @property
    def text(self) -> str:
        """The hold as a sentence."""
        return f"the {self.kind} {self.key} {self.reason}"


def derived_holds(tx: Transaction, context: EngineContext) -> list[DerivedHold]:
    """The windows that are closed now, and the pools without a free slot."""
    return [*_closed_windows(context), *_full_pools(tx, context)]


def _closed_windows(context: EngineContext) -> Iterator[DerivedHold]:
    pipeline, now = context.pipeline, context.now()
    for window in pipeline.window:
        wait = delay([window.closed_hours(pipeline.timezone)], now, 0.0)
        names = [name for name, p in pipeline.processors.items() if window.concerns(name, p.pool)]
        if wait is None or wait.closure.start > now or not names:
            continue
        every = len(names) == len(pipeline.processors)
        concerned = "no job" if every else f"no job of {join_truncated(names, _NAMED)}"
        opens = f"until {format_utc(wait.until)}" if wait.until is not None else "for good"
        yield DerivedHold(
            kind=WINDOW,
            key=window.name,
            reason=f"is closed {opens}: {concerned} starts",
            since=wait.closure.start,
            until=wait.until,
        )


def _full_pools(tx: Transaction, context: EngineContext) -> Iterator[DerivedHold]:
    pipeline = context.pipeline
    running = attempts.running(tx) if pipeline.pool else []
    checking = check_command_runs.running(tx, pipeline.check_commands) if pipeline.pool else {}
    for name, size in pipeline.pool_sizes.items():
        users = in_pool(pipeline, name, running)
        starts = {f"attempt {user.id} of {user.processor}": user.claimed_at for user in users}
        starts |= {
            f"the check of {processor} {date}": checking[date, processor]
            for date, processor in checks_in_pool(pipeline, name, checking)
        }
        if len(starts) >= size:
            slots = pluralize(size, "slot is", "slots are")
            taken = join_truncated(list(starts), _NAMED)
            yield DerivedHold(
                kind=POOL,
                key=name,
                reason=f"is full: {len(starts)} of {slots} taken by {taken}",
                since=max(starts.values()),
                until=None,
            )
