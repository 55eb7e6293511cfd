"""The owners of dates: the backfills that want them, and what they force, select and go without."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import DateRow, RunMode
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.store import backfill_dates, backfills, checks, dates
from backfilld.state.store.database import Transaction


def read_owners(tx: Transaction, wanted: Collection[dt.date]) -> dict[dt.date, Ownership]:
    """The owners of each of some dates; none of a date that no backfill wants any more."""
    found = backfill_dates.owners(tx, wanted)
    numbers = {interest.backfill_id for of_date in found.values() for interest in of_date}
    rows = backfills.get_many(tx, sorted(numbers))
    return {
        date: Ownership(
            owners=tuple(rows[interest.backfill_id] for interest in found[date]),
            restarting=tuple(rows[i.backfill_id] for i in found[date] if i.awaits_admission),
        )
        for date in wanted
    }


def read_last_owners(tx: Transaction, ended: Sequence[DateRow]) -> dict[dt.date, Ownership]:
    """The owners of ended dates when these ended. A date whose backfills were all cancelled is left out."""
    found = backfill_dates.last_owners(tx, ended)
    rows = backfills.get_many(tx, sorted({number for of_date in found.values() for number in of_date}))
    return {date: Ownership(tuple(rows[number] for number in of_date)) for date, of_date in found.items()}


def forced_pairs(
    pipeline: Pipeline, admitted: Iterable[DateRow], owners: Mapping[dt.date, Ownership]
) -> set[Pair]:
    """The outputs that admitted dates rewrite once: what forcing backfills select that wait for admission."""
    forced: set[Pair] = set()
    for row in admitted:
        forcing = [owner for owner in owners[row.date].restarting if owner.force]
        forced |= {(row.date, n) for n in pipeline.processors if any(o.selects(n) for o in forcing)}
    return forced


def waived_pairs(
    tx: Transaction, admitted: Iterable[DateRow], owners: Mapping[dt.date, Ownership]
) -> set[Pair]:
    """The outputs that admitted dates go on without, as for their earlier requests.

    They are those that no backfill which waits for admission selects, of dates not retried as a whole.
    """
    # A new date, which has not moved yet, goes without nothing.
    wanted = [row.date for row in admitted if row.version and row.mode is RunMode.NORMAL]
    return {
        (check.date, check.processor)
        for check in checks.waived(tx, wanted)
        if not check.awaits_rewrite
        and not any(owner.selects(check.processor) for owner in owners[check.date].restarting)
    }


def still_forced(tx: Transaction, pairs: Collection[Pair]) -> list[Pair]:
    """Those of the outputs of live dates that requests for the dates force, whatever has run for these."""
    wanted = {date for date, _ in pairs}
    owners, rows = read_owners(tx, wanted), dates.get_many(tx, wanted)
    return [
        (date, name)
        for date, name in pairs
        if rows[date].mode is RunMode.FORCE
        or any(owner.force and owner.selects(name) for owner in owners[date].owners)
    ]


def selected_when_done(tx: Transaction, done: Collection[DateRow]) -> dict[dt.date, frozenset[str]]:
    """The processors that were selected for each of the dates that are done as far as selected."""
    partly = [row for row in done if row.outcome == Outcome.SELECTED]
    owners = read_last_owners(tx, partly)
    return {
        row.date: (owners[row.date].selected if row.date in owners else None) or frozenset() for row in partly
    }
