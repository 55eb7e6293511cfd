"""Why a date waits for an output that was not selected, with one command for all dates that lack it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.date_owners import read_owners
from backfilld.daemon.engine.selected_processors import selected_now
from backfilld.state.records import DateRow
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.periods import period_bounds
from backfilld.state.rules.processor_selection import upstream_command
from backfilld.state.store import calendar_days, checks
from backfilld.state.store.database import Transaction


class UnselectedCauses:
    """Reads in one transaction what dates wait for that none of their backfills has selected."""

    def __init__(self, tx: Transaction, context: EngineContext, rows: Sequence[DateRow]) -> None:
        """`rows` are the dates in question: those with the same cause share its command."""
        self._tx = tx
        self._context = context
        self._dates_by_text: dict[str, set[dt.date]] = defaultdict(set)
        self._commands: dict[str, tuple[frozenset[str], str]] = {}
        for row in rows:
            if row.waiting == WaitReason.UNSELECTED:
                self._dates_by_text[_without_date(row)].add(row.date)

    def text(self, row: DateRow) -> str:
        """What a date waits for; its command is for the whole of a selected period."""
        text = _without_date(row)
        if text not in self._commands or row.date not in self._dates_by_text[text]:
            self._dates_by_text[text].add(row.date)
            self._commands[text] = self._command(row, self._dates_by_text[text])
        names, command = self._commands[text]
        return row.waiting_text.replace(upstream_command([row.date], names), command)

    def _command(self, row: DateRow, dates: Collection[dt.date]) -> tuple[frozenset[str], str]:
        """The selection of a date, and the command for all these dates, which wait for the same."""
        owners, stored = read_owners(self._tx, [row.date]), checks.for_dates(self._tx, [row.date])
        names = selected_now(row, owners[row.date], stored[row.date]) or frozenset()
        return names, upstream_command({*dates, *self._of_periods(dates, names)}, names)

    def _of_periods(self, dates: Iterable[dt.date], names: Iterable[str]) -> Iterator[dt.date]:
        """The expected dates of the periods that the selected processors take as a whole."""
        pipeline = self._context.pipeline
        for processor in (pipeline.processors[name] for name in names if name in pipeline.processors):
            bounds = {period_bounds(processor.period, date) for date in dates} if processor.period else ()
            for first, last in bounds:
                counts = calendar_days.between(self._tx, first, last)
                days = (pipeline.seasons.day(day, of_day) for day, of_day in counts.items())
                yield from (day.date for day in days if pipeline.expects(processor, day))


def _without_date(row: DateRow) -> str:
    return row.waiting_text.replace(str(row.date), "")
