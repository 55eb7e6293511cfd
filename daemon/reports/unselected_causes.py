"""Why a date waits for an output that was not selected, with one command for all dates that lack it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.owning_backfills import read_owners
from backfilld.daemon.engine.partly_selected_dates import selected_now
from backfilld.state.records import DateRow
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.processor_periods import period_key
from backfilld.state.rules.processor_selection import upstream_command
from backfilld.state.store import calendar_days, checks
from backfilld.state.store.database import Transaction


@dataclass(slots=True)
class _Shared:
    """The dates that wait for the same outputs, with their command once it is known."""

    rows: dict[dt.date, DateRow] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    """What a backfill of these dates selects."""
    command: str = ""


class UnselectedCauses:
    """Reads in one transaction what dates wait for that none of their backfills has selected."""

    def __init__(self, tx: Transaction, context: EngineContext, rows: Sequence[DateRow]) -> None:
        """`rows` are the dates in question: those with the same cause share its command."""
        self._tx = tx
        self._context = context
        self._shared: dict[str, _Shared] = defaultdict(_Shared)
        self._read([row for row in rows if row.waiting == WaitReason.UNSELECTED])

    def text(self, row: DateRow) -> str:
        """What a date waits for; its command is for the whole of a selected period."""
        if row.date not in self._shared[_without_date(row)].rows:
            self._read([row])
        shared = self._shared[_without_date(row)]
        return row.waiting_text.replace(upstream_command([row.date], shared.names), shared.command)

    def _read(self, rows: Sequence[DateRow]) -> None:
        """Read the selections and the commands of dates, all of them at once."""
        for row in rows:
            self._shared[_without_date(row)].rows[row.date] = row
        changed = [self._shared[text] for text in dict.fromkeys(map(_without_date, rows))]
        first = [next(iter(shared.rows.values())) for shared in changed]
        owners = read_owners(self._tx, [row.date for row in first])
        stored = checks.for_dates(self._tx, [row.date for row in first])
        for row, shared in zip(first, changed, strict=True):
            shared.names = selected_now(row, owners[row.date], stored[row.date]) or frozenset()
        self._set_commands(changed)

    def _set_commands(self, changed: Sequence[_Shared]) -> None:
        """The commands are for all dates that wait so, and for whole periods of selected processors."""
        pipeline = self._context.pipeline
        periods = [
            {
                period_key(p, date)
                for p in pipeline.with_period
                if p.name in of_one.names
                for date in of_one.rows
            }
            for of_one in changed
        ]
        wanted = {day for keys in periods for _, *bounds in keys for day in dates_between(*bounds)}
        counts = calendar_days.for_dates(self._tx, wanted)
        days = {date: pipeline.seasons.day(date, of_date) for date, of_date in counts.items()}
        for shared, keys in zip(changed, periods, strict=True):
            expected = [
                date
                for name, first, last in keys
                for date in dates_between(first, last)
                if date in days and pipeline.expects(pipeline.processors[name], days[date])
            ]
            shared.command = upstream_command({*shared.rows, *expected}, shared.names)


def _without_date(row: DateRow) -> str:
    return row.waiting_text.replace(str(row.date), "")
