"""The complete dates that rules compare with: earlier verdicts, those of the same answer included."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.comparison_baseline import CompleteDates
from backfilld.state.rules.evidence import EarlierDate
from backfilld.state.rules.expectations.earlier_dates import window
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.store import calendar_days, checks
from backfilld.state.store.database import Transaction


def stored(tx: Transaction, processors: Mapping[str, Processor], judged: Collection[Pair]) -> CompleteDates:
    """The complete dates before those that are judged, by their stored verdicts."""
    complete = CompleteDates()
    for name, dates in _dates_by_name(judged).items():
        processor = processors.get(name)
        if processor is None or not processor.expect.days_compared:
            continue
        first, last = window(min(dates), processor.expect.days_compared)[0], max(dates)
        counts = calendar_days.between(tx, first, last)
        for date, rows in checks.complete_rows(tx, name, processor.table, first, last):
            complete.add(name, EarlierDate(date=date, rows=rows, counts=counts.get(date) or {}))
    return complete


def _dates_by_name(pairs: Iterable[Pair]) -> Mapping[str, list[dt.date]]:
    dates: dict[str, list[dt.date]] = defaultdict(list)
    for date, name in pairs:
        dates[name].append(date)
    return dates
