"""Stuck backfills: active ones that cannot move by themselves.

A backfill is stuck when each of its live dates waits for a failed date, for a hold without an end, for a
query that fails until an operator corrects something, for a check command that has no result however often
it runs, or for an operator. That follows from the same facts as `waiting_on`, never from a timer.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.reports.wait_causes import causes_of_all, held_by_operator
from backfilld.state.formatting import pluralize
from backfilld.state.records import BackfillRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.store import backfills, checks, dates, holds
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, DateScope
from backfilld.state.store.database import Transaction

STUCK = "stuck"
_STAND_STILL = (STUCK, "paused", "stopped")
_MAY_LAST = (
    WaitReason.HELD,
    WaitReason.WINDOW,
    WaitReason.EARLIER_DATE,
    WaitReason.PAUSED,
    WaitReason.UNSELECTED,
    WaitReason.PERIOD,
    WaitReason.WAREHOUSE,
)
"""Waits that only an operator may be able to end."""


def status(tx: Transaction, context: EngineContext, row: BackfillRow) -> tuple[str, str | None]:
    """The status of a backfill, and what it is stuck on with the remedy, if it is stuck."""
    plain = backfills.status(tx, row)
    stuck_on = _stuck_on(tx, context, row) if plain == "active" else None
    return (STUCK, stuck_on) if stuck_on else (plain, None)


def everything_waits(tx: Transaction, context: EngineContext, scope: DateScope = ALL_DATES) -> bool:
    """Whether dates are live and none moves by itself: each backfill of one is stuck, paused or stopped."""
    unended = backfills.unended(tx, scope)
    return bool(unended) and all(status(tx, context, row)[0] in _STAND_STILL for row in unended)


def counts(tx: Transaction, context: EngineContext) -> dict[str, int]:
    """How many backfills have which status."""
    unended = Counter(status(tx, context, row)[0] for row in backfills.unended(tx))
    return dict(unended + Counter(backfills.ended_counts(tx)))


def _stuck_on(tx: Transaction, context: EngineContext, backfill: BackfillRow) -> str | None:
    number = backfill.id
    active_holds = holds.all_holds(tx)
    if not backfills.waits_only_for(tx, number, {*_MAY_LAST, *held_by_operator(active_holds)}):
        return None
    rows = dates.wanted_by(tx, number)
    found = []
    for row, cause in zip(rows, causes_of_all(tx, context, active_holds, rows), strict=True):
        if not cause.needs_operator:
            return None
        found.append((row.date, cause.text))
    waits_for_others = _has_its_selection(tx, backfill, [row.date for row in rows])
    others = "all that it selects is there, and its dates go on for others: " if waits_for_others else ""
    return f"{others}{_sentence(found)}"


def _has_its_selection(tx: Transaction, backfill: BackfillRow, live: Sequence[dt.date]) -> bool:
    """Whether each selected output of its live dates is satisfied; False for a backfill that selects all."""
    if backfill.selection is None:
        return False
    stored = checks.for_dates(tx, live)
    return all(
        name in stored[date] and stored[date][name].satisfied for date in live for name in backfill.selection
    )


def _sentence(causes: Sequence[tuple[dt.date, str]]) -> str:
    """The cause of the earliest date, and how many other causes there are.

    Causes that differ only in the date that waits are one.
    """
    first_date, first = causes[0]
    without_date = {text.replace(str(date), "") for date, text in causes if text != first}
    others = len(without_date - {first.replace(str(first_date), "")})
    more = f" (and {pluralize(others, 'other cause')})" if others else ""
    return f"{first}{more}"
