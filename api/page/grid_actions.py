"""A rectangle of dates and processors marked in the grid: what an action on it would do, and doing it."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from backfilld.api.daemon_interface import DaemonService
from backfilld.api.schemas.grid import GridAction, GridSelection
from backfilld.daemon.engine.accept_dates import acceptances
from backfilld.daemon.engine.bulk_request import DateAnswers, DateQuery
from backfilld.daemon.engine.retry_dates import Retry
from backfilld.state.records import Actor, DateRow
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import dates, grid
from backfilld.state.store.grid import GridCell


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an action would do: the processors of each date that it is about, and what it leaves alone."""

    changes: Mapping[dt.date, Sequence[str]]
    skipped: Mapping[str, int]
    """Dates (retry) or outputs (accept) that stay as they are, by the reason."""

    @property
    def outputs(self) -> int:
        """How many (date, processor) pairs the action is about."""
        return sum(map(len, self.changes.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What an action did: the changed dates, and why others were refused."""

    changed: Sequence[dt.date]
    refused: Mapping[dt.date, str]


def preview(service: DaemonService, selection: GridSelection) -> Preview:
    """What a retry or an acceptance of the rectangle would do now."""
    names = set(selection.processor or service.pipeline.processors)
    span = list(dates_between(selection.first, selection.last))
    with service.context.db.read() as tx:
        if selection.do is GridAction.ACCEPT:
            return _accept(acceptances(tx, service.context, span), names)
        cells = [cell for cell in grid.cells(tx, span[0], span[-1]) if cell.processor in names]
        return _retry(span, dates.get_many(tx, span), cells)


def apply(service: DaemonService, selection: GridSelection, by: Actor) -> Applied:
    """Do it; each date is changed or refused by itself."""
    changes = preview(service, selection).changes
    if selection.do is GridAction.RETRY:
        return retry_dates(service, list(changes), by)
    query = DateQuery(start=selection.first, end=selection.last)
    result = service.commands.accept_dates(query, selection.processor, by=by, reason=selection.reason or "")
    return _applied(service, result, changes)


def retry_dates(service: DaemonService, chosen: Sequence[dt.date], by: Actor) -> Applied:
    """Put ended dates back to pending, each by itself."""
    result = service.commands.retry_dates(DateQuery(dates=tuple(chosen)), Retry(), by=by)
    return _applied(service, result, chosen)


def _applied(service: DaemonService, result: DateAnswers, chosen: Collection[dt.date]) -> Applied:
    """The answers of the chosen dates, and of every date that was changed."""
    service.wake()
    refused = {one.date: one.reason for one in result.answers if not one.changed and one.date in chosen}
    return Applied(changed=result.changed, refused=refused)


def _retry(span: Sequence[dt.date], rows: Mapping[dt.date, DateRow], cells: Sequence[GridCell]) -> Preview:
    """Ended dates with an unsatisfied output in the rectangle go back to pending."""
    missing: dict[dt.date, list[str]] = defaultdict(list)
    for cell in cells:
        if not Verdict(cell.verdict).satisfied:
            missing[cell.date].append(cell.processor)
    skipped: Counter[str] = Counter()
    changes: dict[dt.date, Sequence[str]] = {}
    for date in span:
        row = rows.get(date)
        if row is None:
            skipped["never enqueued"] += 1
        elif row.state not in FINAL:
            skipped["still live"] += 1
        elif date not in missing:
            skipped["with nothing missing"] += 1
        else:
            changes[date] = missing[date]
    return Preview(changes=changes, skipped=skipped)


def _accept(acceptable: Mapping[dt.date, Mapping[str, str]], names: Collection[str]) -> Preview:
    """Unsatisfied outputs whose verdict is known are let pass."""
    skipped: Counter[str] = Counter()
    changes: dict[dt.date, list[str]] = defaultdict(list)
    for date, refusals in acceptable.items():
        for name in [name for name in refusals if name in names]:
            if refusals[name]:
                skipped[refusals[name]] += 1
            else:
                changes[date].append(name)
    return Preview(changes=changes, skipped=skipped)
