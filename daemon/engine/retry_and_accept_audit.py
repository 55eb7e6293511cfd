"""The audit row of a retry or an acceptance: of one date, or of many at once."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from backfilld.daemon.engine.audited_operator_change import Snapshotter, recorded
from backfilld.daemon.engine.bulk_request import DateQuery
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.formatting import format_date_ranges
from backfilld.state.records import Action, Actor
from backfilld.state.store import audit, checks, dates
from backfilld.state.store.audit import Facts
from backfilld.state.store.database import Transaction


@contextlib.contextmanager
def recorded_dates(
    tx: Transaction,
    context: EngineContext,
    by: Actor,
    action: Action,
    query: DateQuery,
    chosen: Mapping[dt.date, Sequence[str]],
    facts: Facts,
) -> Iterator[None]:
    """One row of audit for the whole request, where it changes anything."""
    if not chosen:
        yield
        return
    date, names = next(iter(chosen.items()))
    if len(chosen) == 1 and len(names) < 2 and not query.mark:
        snapshot = _date_facts(date, names[0] if names else "")
        with recorded(tx, context, by, action, str(date), snapshot):
            yield
        return
    target = f"{query.mark} dates" if query.mark else format_date_ranges(chosen)
    before = _state_counts(tx, chosen)
    yield
    after = {**_state_counts(tx, chosen), **facts}
    if outputs := Counter(name for names in chosen.values() for name in names):
        after["outputs"] = dict(outputs)
    audit.record(tx, by, action, target, before=before, after=after, now=context.now())


def _state_counts(tx: Transaction, wanted: Collection[dt.date]) -> dict[str, object]:
    """How many of some dates are in which state."""
    return {"states": dict(Counter(row.state for row in dates.get_many(tx, wanted).values()))}


def _date_facts(date: dt.date, processor: str = "") -> Snapshotter:
    """A date, with the accepted gap of one of its processors."""

    def snapshot(tx: Transaction) -> Facts | None:
        row = dates.get(tx, date)
        check = checks.for_dates(tx, [date])[date].get(processor)
        facts: dict[str, object] = {}
        if row is not None:
            facts |= {"state": row.state, "outcome": row.outcome, "backfill": row.backfill_id}
        if check is not None:
            waiver = {"processor": processor, "by": check.accepted_by, "reason": check.accepted_reason}
            facts["accepted"] = waiver
        return facts or None

    return snapshot
