"""Missing upstream: the earlier dates that a processor needs and that are not satisfied.

Which earlier dates is computed from the graph of needs and the calendar each time. A date without a row is
missing, not satisfied.
"""

from __future__ import annotations

import bisect
import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine import periods
from backfilld.daemon.engine.context import EngineContext
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.compared_processors import with_references
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.needs_graph import Need, NeedsGraph, Pair
from backfilld.state.rules.required_calendar_range import calendar_span, calendar_start
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import calendar_days, checks, dates, done_and_lookback_date_checks
from backfilld.state.store.database import Transaction

_DAY = dt.timedelta(days=1)

Missing = tuple[dt.date, str]
"""An earlier date and a processor whose output is needed and not satisfied."""


def needs_graph(tx: Transaction, pipeline: Pipeline) -> NeedsGraph:
    """The graph of needs, where the past begins on the first date that was ever enqueued."""
    needs = pipeline.needs
    return needs.starting(dates.first(tx)) if needs.needs_past else needs


class UpstreamReader:
    """Reads the missing upstream of dates in one transaction.

    What it read once serves all dates: after the admissions of a transaction, outputs only become satisfied.
    """

    def __init__(self, tx: Transaction, context: EngineContext, until: dt.date = dt.date.min) -> None:
        """`until` is the last date of interest: expected dates without a check are read once up to it."""
        self._tx = tx
        self._pipeline = context.pipeline
        self._until = until
        self.graph = needs_graph(tx, context.pipeline)
        self._spans: dict[tuple[str, ...], _Span] = {}
        self._unsatisfied: dict[tuple[str, ...], tuple[dt.date, Missing | None]] = {}

    def missing_of(
        self, processors: Iterable[Processor], day: Day, stored: Mapping[str, CheckRow]
    ) -> dict[str, Missing]:
        """The earliest missing upstream of each processor that has any on a day.

        `stored` are the checks of the day. A processor that is not expected, or whose gap is accepted, needs
        nothing.
        """
        found: dict[str, Missing] = {}
        for processor in processors:
            needs = self.graph.earlier_of(processor.name)
            check = stored.get(processor.name)
            if not needs or (check and check.accepted_reason) or not self._pipeline.expects(processor, day):
                continue
            missing = [m for need in needs if (m := self.missing(need, day.date))]
            if missing:
                found[processor.name] = min(missing)
        return found

    def blocks(self, processor: str, date: dt.date) -> bool:
        """Whether a processor's date needs an earlier one that is not satisfied."""
        return any(self.missing(need, date) is not None for need in self.graph.earlier_of(processor))

    def needs_any(self, processor: str, date: dt.date, outputs: Sequence[tuple[str, dt.date]]) -> bool:
        """Whether a processor's date needs one of some outputs of earlier dates."""
        windows = [(need.of, self.graph.start(need, date)) for need in self.graph.earlier_of(processor)]
        return any(
            name in of and start <= earlier < date for of, start in windows for name, earlier in outputs
        )

    def missing_texts(
        self, processors: Iterable[Processor], day: Day, stored: Mapping[str, CheckRow]
    ) -> dict[str, str]:
        """The missing upstream of each processor that has any, as text."""
        missing = self.missing_of(processors, day, stored)
        return {name: self._text(found) for name, found in missing.items()}

    def entry_text(self, processors: Sequence[Processor], day: Day, stored: Mapping[str, CheckRow]) -> str:
        """The missing upstream that keeps a date out of the state that follows, as text; empty without any.

        `processors` are those of that state. A date enters a state in which one of them may start, or in
        which nothing is expected of them.
        """
        missing = self.missing_of(processors, day, stored)
        expected = [processor for processor in processors if self._pipeline.expects(processor, day)]
        blocked = bool(expected) and len(missing) == len(expected)
        return self._text(min(missing.values())) if blocked else ""

    def _text(self, missing: Missing) -> str:
        return f"{missing[0]} in {self._pipeline.stage_of[missing[1]].phase.name}"

    def missing(self, need: Need, date: dt.date) -> Missing | None:
        """The earliest unsatisfied (date, processor) that a need of `date` includes; None without any.

        An expected date without a check counts as unsatisfied, but is named only after all others.
        """
        start = self.graph.start(need, date)
        unsatisfied = self.first_unsatisfied(need.of, start)
        if unsatisfied is not None and unsatisfied[0] < date:
            return unsatisfied
        unchecked = _first_between(self._span(need, start, date).unchecked, start, date)
        if unchecked is None:
            return None
        known = checks.for_dates(self._tx, [unchecked])[unchecked]
        return unchecked, next((name for name in need.of if name not in known), need.of[0])

    def first_unsatisfied(self, names: tuple[str, ...], start: dt.date) -> Missing | None:
        """The first unsatisfied (date, processor) of these processors from `start` on; None without any."""
        known = self._unsatisfied.get(names)
        if known is None or not known[0] <= start <= (known[1][0] if known[1] else dt.date.max):
            known = start, done_and_lookback_date_checks.earliest_unsatisfied(self._tx, names, start)
            self._unsatisfied[names] = known
        return known[1]

    def without_calendar(self, processors: Iterable[Processor], date: dt.date) -> bool:
        """Whether the calendar was not read for a date that one of the processors needs."""
        for need in self.graph.earlier(p.name for p in processors):
            start = self.graph.start(need, date)
            if _first_between(self._span(need, start, date).without_calendar, start, date) is not None:
                return True
        return False

    def _span(self, need: Need, start: dt.date, end: dt.date) -> _Span:
        span = self._spans.get(need.of)
        if span is None or start < span.start or end > span.end:
            span = _read_span(self._tx, self._pipeline, need.of, start, max(end, self._until))
            self._spans[need.of] = span
        return span


@dataclass(frozen=True, slots=True)
class _Span:
    """From `start` to before `end`: the expected dates without a check, and those without a calendar."""

    start: dt.date
    end: dt.date
    unchecked: Sequence[dt.date]
    without_calendar: Sequence[dt.date]


def _read_span(
    tx: Transaction, pipeline: Pipeline, names: Sequence[str], start: dt.date, end: dt.date
) -> _Span:
    last = end - dt.timedelta(days=1)
    unchecked = done_and_lookback_date_checks.without_checks(tx, names, start, last)
    expected = [date for date, counts in unchecked.items() if pipeline.seasons.day(date, counts).expected]
    return _Span(start, end, expected, calendar_days.unknown_between(tx, start, last))


def spans(
    pipeline: Pipeline, graph: NeedsGraph, dates_in_order: Iterable[dt.date]
) -> Iterator[tuple[dt.date, dt.date]]:
    """Some dates, oldest first, with the dates that they need: disjoint, both ends included."""
    first: dt.date | None = None
    last = dt.date.min
    for date in dates_in_order:
        start = calendar_start(pipeline, graph, date)
        if first is not None and start > last + dt.timedelta(days=1):
            yield first, last
            first = None
        first, last = (start if first is None else min(first, start)), date
    if first is not None:
        yield first, last


def orphaned_missing(tx: Transaction, context: EngineContext) -> list[Pair]:
    """Unsatisfied checks of the earliest missing upstream dates that are not live, so nothing will fill them.

    Dates behind such a date wait for it in any case, so only the earliest one of each window is returned.
    """
    pairs: dict[Pair, None] = {}
    reader = UpstreamReader(tx, context)
    for need in reader.graph.all_earlier:
        after = dt.date.min
        while row := dates.first_waiting(tx, WaitReason.EARLIER_DATE, after):
            missing = reader.first_unsatisfied(need.of, reader.graph.start(need, row.date))
            if missing is None:
                break
            date = missing[0]
            if date >= row.date:
                after = date  # dates up to there do not wait for this need
                continue
            holder = dates.get(tx, date)
            if holder is None or holder.state in FINAL:
                known = checks.for_dates(tx, [date])[date]
                names = with_references(context.pipeline, need.of)
                pairs |= {(date, n): None for n in names if n in known and not known[n].satisfied}
            after = max(row.date, reader.graph.end(need, date))
    return list(pairs)


def wake_unblocked(tx: Transaction, context: EngineContext, satisfied: Iterable[Pair]) -> None:
    """Make live dates due that newly satisfied checks may have unblocked.

    Dates after the next missing upstream date stay blocked, so only dates up to there become due.
    """
    satisfied = list(satisfied)
    periods.wake(tx, context, satisfied)
    dates_by_processor: dict[str, set[dt.date]] = defaultdict(set)
    for date, name in satisfied:
        dates_by_processor[name].add(date)
    if not dates_by_processor:
        return
    graph = needs_graph(tx, context.pipeline)
    for need in graph.all_earlier:
        _wake_up_to_next_missing(
            tx, context, graph, need, sorted(set().union(*(dates_by_processor[name] for name in need.of)))
        )


def _wake_up_to_next_missing(
    tx: Transaction,
    context: EngineContext,
    graph: NeedsGraph,
    need: Need,
    satisfied_dates: Sequence[dt.date],
) -> None:
    next_missing, woken = dt.date.min, dt.date.min
    for date in satisfied_dates:
        if date >= next_missing:
            missing = done_and_lookback_date_checks.earliest_unsatisfied(tx, need.of, date)
            next_missing = missing[0] if missing else dt.date.max
        after, until = max(date, woken), min(next_missing, graph.end(need, date))
        if after < until:
            dates.make_admitted_due(tx, context.now(), after=after, until=until)
            woken = until


def create_needed_checks(tx: Transaction, context: EngineContext, admitted: Sequence[Day]) -> None:
    """Create checks for the earlier dates that admitted dates need, where they were never enqueued.

    What no sweep looks at and was complete longer than `revalidate_within` ago is queried again.
    """
    if not admitted:
        return
    graph, seasons, now = needs_graph(tx, context.pipeline), context.pipeline.seasons, context.now()
    revalidate_within = context.pipeline.engine.revalidate_within
    for need in graph.all_earlier:
        ends = sorted(day.date for day in admitted)
        starts = [graph.start(need, end) for end in ends]
        names, first, last = with_references(context.pipeline, need.of), starts[0], ends[-1] - _DAY
        known = done_and_lookback_date_checks.without_checks(tx, names, first, last)
        expected = (date for date, counts in known.items() if seasons.day(date, counts).expected)
        missing = [date for date in expected if _in_a_window(date, starts, ends)]
        done_and_lookback_date_checks.create(tx, missing, names, now)
        if revalidate_within:
            before = now - revalidate_within
            old = done_and_lookback_date_checks.not_revalidated_since(tx, names, first, last, before)
            again = [pair for pair in old if _in_a_window(pair[0], starts, ends)]
            checks.request_check(tx, again, now, evaluated=True)


def _in_a_window(date: dt.date, starts: Sequence[dt.date], ends: Sequence[dt.date]) -> bool:
    """Whether the date is in one of the sorted windows, which end the day before `ends`."""
    index = bisect.bisect_right(ends, date)
    return index < len(ends) and starts[index] <= date


def without_calendar(tx: Transaction, context: EngineContext, admitting: Sequence[dt.date]) -> set[dt.date]:
    """The dates that need a date for which the calendar was not read."""
    if not admitting:
        return set()
    graph = needs_graph(tx, context.pipeline)
    spans = {date: calendar_span(context.pipeline, graph, date, date) for date in admitting}
    first, last = min(start for start, _ in spans.values()), max(end for _, end in spans.values())
    unknown = calendar_days.unknown_between(tx, first, last)
    return {
        date
        for date, (start, end) in spans.items()
        if _first_between(unknown, start, date) or (end > date and _first_between(unknown, date, end + _DAY))
    }


def _first_between(sorted_dates: Sequence[dt.date], start: dt.date, end: dt.date) -> dt.date | None:
    """The first of the sorted dates from `start` to before `end`."""
    index = bisect.bisect_left(sorted_dates, start)
    return sorted_dates[index] if index < len(sorted_dates) and sorted_dates[index] < end else None
