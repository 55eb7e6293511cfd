"""A rectangle of dates and processors marked in the grid: what an action on it would do, and doing it."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backfilld.api.daemon_protocol import DaemonService
from backfilld.api.schemas.grid import GridAction, GridSelection
from backfilld.daemon.engine.commands import Conflict, NotFound
from backfilld.state.records import Actor, DateRow
from backfilld.state.rules.machine import FINAL
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


@dataclass(slots=True)
class Applied:
    """What an action did: the changed dates, and why others were refused."""

    changed: list[dt.date] = field(default_factory=list)
    refused: dict[dt.date, str] = field(default_factory=dict)


def preview(service: DaemonService, selection: GridSelection) -> Preview:
    """What a retry or an acceptance of the rectangle would do now."""
    names = set(selection.processor or service.pipeline.processors)
    span = list(_days(selection.first, selection.last))
    with service.context.db.read() as tx:
        cells = [cell for cell in grid.cells(tx, span[0], span[-1]) if cell.processor in names]
        rows = dates.get_many(tx, span)
    return _accept(cells) if selection.do is GridAction.ACCEPT else _retry(span, rows, cells)


def apply(service: DaemonService, selection: GridSelection, by: Actor) -> Applied:
    """Do it date by date, each of which is changed or refused by itself."""
    changes = preview(service, selection).changes
    if selection.do is GridAction.RETRY:
        return retry_dates(service, list(changes), by)

    def accept(date: dt.date) -> None:
        for name in changes[date]:
            service.commands.accept(date, name, by=by, reason=selection.reason or "")

    return _each(service, list(changes), accept)


def retry_dates(service: DaemonService, chosen: Sequence[dt.date], by: Actor) -> Applied:
    """Put ended dates back to pending, each by itself."""
    return _each(service, chosen, lambda date: service.commands.retry_date(date, by=by))


def _each(service: DaemonService, chosen: Sequence[dt.date], change: Callable[[dt.date], object]) -> Applied:
    result = Applied()
    for date in chosen:
        try:
            change(date)
        except (Conflict, NotFound) as error:
            result.refused[date] = str(error)
        else:
            result.changed.append(date)
    service.wake()
    return result


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
            skipped["nothing is missing"] += 1
        else:
            changes[date] = missing[date]
    return Preview(changes=changes, skipped=skipped)


def _accept(cells: Sequence[GridCell]) -> Preview:
    """Unsatisfied outputs whose verdict is known are let pass."""
    skipped: Counter[str] = Counter()
    changes: dict[dt.date, list[str]] = defaultdict(list)
    for cell in cells:
        if cell.satisfied:
            skipped["satisfied"] += 1
        elif cell.attempt_id is not None:
            skipped["a job is running"] += 1
        elif cell.asked_at is None:
            skipped["not checked yet"] += 1
        else:
            changes[cell.date].append(cell.processor)
    return Preview(changes=changes, skipped=skipped)


def _days(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    return map(dt.date.fromordinal, range(first.toordinal(), last.toordinal() + 1))
