"""Declares an attempt lost whose host is gone, so that its table and slot are free before its limits.

The daemon cannot tell a dead host from one that it cannot reach. An operator can. A job that the daemon sees
run is never declared lost: a second writer would start beside it.
"""

from __future__ import annotations

from backfilld.daemon.engine.audited_operator_change import Conflict, NotFound, no_attempt, recorded
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.records import Action, Actor, AttemptRow, AttemptStatus
from backfilld.state.store import attempts
from backfilld.state.store.audit import Facts
from backfilld.state.store.database import Transaction


def mark_lost(context: EngineContext, number: int, *, by: Actor, reason: str) -> AttemptRow:
    """Have the engine close a running attempt as lost. It does not count as an attempt of its dates.

    Raises:
        NotFound: there is no such attempt.
        Conflict: it has ended, or its job can be seen to run.
    """
    with context.db.write() as tx:
        row = attempts.get(tx, number)
        if row is None:
            raise NotFound(no_attempt(number))
        if row.status is not AttemptStatus.RUNNING:
            raise Conflict(f"attempt {number} has ended: {row.status}")
        where = context.unreachable.get(number)
        if where is None:
            remedy = f"cancel backfill {row.backfill_id}, or wait for its end"
            raise Conflict(f"attempt {number} of {row.processor} is not out of sight: to stop it, {remedy}")

        def facts(inner: Transaction) -> Facts:
            known = attempts.get(inner, number)
            return {"stopping": known.stopping, "at": where, "reason": reason} if known else {}

        with recorded(tx, context, by, Action.MARK_LOST, f"attempt {number}", facts):
            attempts.mark_lost(tx, number)
    return row
