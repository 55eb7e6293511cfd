"""Current activity: the last line of each running job, and the reasons why live dates wait."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backfilld.api import job_log
from backfilld.api.daemon_interface import DaemonService
from backfilld.daemon.engine.attempt_executors import log_keeper
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.reports.waiting_on import reason_under_holds, waiting_on
from backfilld.state.records import AttemptRow
from backfilld.state.store import dates, holds, state_counts
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, DateScope
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitGroup:
    """Live dates that wait for the same reason: their number, and the earliest with what it waits on."""

    reason: str
    n: int
    date: dt.date
    waiting_on: str


def last_line(service: DaemonService, attempt: AttemptRow) -> str:
    """The last line of an attempt's output; empty without output."""
    return job_log.last_line(log_keeper(service.executors, attempt).log(attempt.id))


def waits(tx: Transaction, context: EngineContext, scope: DateScope = ALL_DATES) -> list[WaitGroup]:
    """Live dates of a scope grouped by wait reason, largest group first."""
    counts: dict[str, int] = {}
    for count in state_counts.dates(tx, scope):
        if count.waiting:
            counts[count.waiting] = counts.get(count.waiting, 0) + count.n
    active_holds = holds.all_holds(tx)
    merged: dict[str, list[WaitGroup]] = {}
    for reason, n in counts.items():
        if group := _group(tx, context, reason, n, scope):
            merged.setdefault(reason_under_holds(reason, active_holds), []).append(group)
    groups = [_merged(reason, of_reason) for reason, of_reason in merged.items()]
    return sorted(groups, key=lambda group: -group.n)


def _merged(reason: str, groups: Sequence[WaitGroup]) -> WaitGroup:
    """Dates that a hold makes wait for one reason, whatever they waited for before."""
    earliest = min(groups, key=lambda group: group.date)
    return replace(earliest, reason=reason, n=sum(group.n for group in groups))


def _group(
    tx: Transaction, context: EngineContext, reason: str, n: int, scope: DateScope
) -> WaitGroup | None:
    """Reads one date alone: `waiting_on` of several dates reads every date between them."""
    row = next(iter(dates.waiting_for(tx, reason, 1, scope)), None)
    if row is None:
        return None
    text = waiting_on(tx, context, [row]).get(row.date)
    return WaitGroup(reason=reason, n=n, date=row.date, waiting_on=text) if text else None
