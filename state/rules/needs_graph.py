"""The graph of needs: which dates of which processors each date of a processor needs. Pure.

One graph answers what a date waits for, what a repair makes stale, and what is downstream. Its edges go from
(processor, window of dates) to processor. A window ends the day before a date, or on the date itself.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from backfilld.state.rules.season_calendar import Calendar, Lookback

Pair = tuple[dt.date, str]
"""A date and a processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The processors `of`, on the dates of a window before a date, and perhaps on the date itself."""

    of: tuple[str, ...]
    lookback: Lookback = 0
    same_date: bool = True
    since: dt.date | None = None
    """No earlier date is in the window of a later one."""


@dataclass(frozen=True, slots=True)
class Span:
    """Dates, both ends included; none where `last` lies before `first`."""

    first: dt.date
    last: dt.date

    def __contains__(self, date: dt.date) -> bool:
        return self.first <= date <= self.last


class NeedsGraph:
    """The needs of every processor, by name. `calendar` has the seasons that windows refer to."""

    def __init__(self, needs: Mapping[str, Sequence[Need]], calendar: Calendar) -> None:
        self._calendar = calendar
        self._needs = {name: tuple(of_one) for name, of_one in needs.items()}
        self.names = frozenset(self._needs)
        self._needed_by: dict[str, list[tuple[str, Need]]] = defaultdict(list)
        for name, of_one in self._needs.items():
            for need in of_one:
                for upstream in need.of:
                    self._needed_by[upstream].append((name, need))

    def starting(self, first: dt.date | None) -> NeedsGraph:
        """The same graph where `past` begins at `first`, the first date that is known; None: at no date."""
        return _starting(self, first) if self.needs_past else self

    def resolved(self, first: dt.date | None) -> NeedsGraph:
        """A new graph where `past` begins at `first`."""

        def resolve(need: Need) -> Need:
            return replace(need, lookback=first or 0) if need.lookback == "past" else need

        needs = {name: [resolve(need) for need in of_one] for name, of_one in self._needs.items()}
        return NeedsGraph(needs, self._calendar)

    @cached_property
    def needs_past(self) -> bool:
        """Whether a need reaches back to the first date that is known."""
        return any(need.lookback == "past" for need in self.all_earlier)

    @cached_property
    def latest_first(self) -> tuple[str, ...]:
        """The processors, each before those that it needs."""
        return tuple(reversed(self._needs))

    def direct(self, processor: str) -> tuple[Need, ...]:
        """The needs of a processor itself."""
        return self._needs.get(processor, ())

    def earlier(self, processors: Iterable[str]) -> tuple[Need, ...]:
        """The needs of these processors that include earlier dates, each once."""
        return tuple(dict.fromkeys(need for name in processors for need in self.earlier_of(name)))

    def earlier_of(self, processor: str) -> tuple[Need, ...]:
        """The needs of a processor that include earlier dates, each once."""
        return self._earlier.get(processor, ())

    @cached_property
    def _earlier(self) -> Mapping[str, tuple[Need, ...]]:
        return {
            name: tuple(dict.fromkeys(need for need in of_one if need.lookback != 0))
            for name, of_one in self._needs.items()
        }

    def needed_later_by(self, processor: str) -> Iterator[str]:
        """The processors that need this one on dates before their own."""
        return (name for name, need in self._needed_by.get(processor, ()) if need.lookback != 0)

    @cached_property
    def all_earlier(self) -> tuple[Need, ...]:
        """The needs of all processors that include earlier dates, each once."""
        return self.earlier(self._needs)

    def start(self, need: Need, date: dt.date) -> dt.date:
        """The first date of a need's window; `date` itself where no earlier date is in it."""
        start = self._calendar.lookback_start(date, need.lookback)
        return start if need.since is None else min(max(start, need.since), date)

    def end(self, need: Need, date: dt.date) -> dt.date:
        """The last date whose window includes `date`; `date` itself where no later one's does."""
        return date if need.since and date < need.since else self._calendar.lookback_end(date, need.lookback)

    def needs(self, processor: str, date: dt.date) -> Iterator[tuple[str, Span]]:
        """What a processor needs on a date: processors, each with a span of dates that is not empty."""
        for need in self._needs.get(processor, ()):
            last = date if need.same_date else date - dt.timedelta(days=1)
            span = Span(self.start(need, date), last)
            if span.first <= span.last:
                yield from ((name, span) for name in need.of)

    def needed_by(self, processor: str, date: dt.date) -> Iterator[tuple[str, Span]]:
        """What needs a processor's date: processors, each with a span of dates that is not empty."""
        return self.needed_by_any(processor, Span(date, date))

    def needed_by_any(self, processor: str, dates: Span) -> Iterator[tuple[str, Span]]:
        """What needs any of these dates of a processor: processors, each with the span of all its dates."""
        ends = {dates.first, dates.last}
        for name, need in self._needed_by.get(processor, ()):
            first = dates.first if need.same_date else dates.first + dt.timedelta(days=1)
            last = max(self.end(need, date) for date in ends)
            if first <= last:
                yield name, Span(first, last)

    def downstream(self, processors: Iterable[str]) -> set[str]:
        """What needs one of these processors, on any date, directly or through another; without them."""
        return closure(processors, lambda name: (other for other, _ in self._needed_by.get(name, ())))

    def missing_upstream(
        self, processors: Collection[str], date: dt.date, is_missing: Callable[[str, dt.date], bool]
    ) -> dict[str, set[dt.date]]:
        """The missing dates that a date of processors needs, directly or through others, by processor.

        `is_missing` says whether an output is missing. Only the needs of missing outputs are followed. A
        need of a processor's own dates by a number of days has no beginning and is followed once.
        """
        found: dict[str, set[dt.date]] = defaultdict(set)
        for name in self.latest_first:
            first = {date} if name in processors else set()
            for need in sorted(self._needs[name], key=lambda need: name not in need.of):
                window = self.window(need, sorted(first | found[name]))
                for upstream in need.of:
                    found[upstream] |= {day for day in window if is_missing(upstream, day)}
        return {name: dates for name, dates in found.items() if dates}

    def window(
        self, need: Need, sorted_dates: Sequence[dt.date], since: dt.date = dt.date.min
    ) -> list[dt.date]:
        """The dates from `since` on that a need of some dates includes, oldest first."""
        window: list[dt.date] = []
        for date in sorted_dates:
            last = date.toordinal() - (not need.same_date)
            first = max(self.start(need, date), since).toordinal()
            first = max(first, window[-1].toordinal() + 1 if window else 0)
            window += map(dt.date.fromordinal, range(first, last + 1))
        return window

    def earliest_input(self, date: dt.date, since: dt.date) -> dt.date:
        """No output of a date or a later one is computed from a date before this one, or before `since`.

        A processor that needs its own dates by a number of days may reach back to any: `since` then.
        """
        first = date
        for _ in self._needs:
            first = min((first, *(self.start(need, first) for need in self.all_earlier)))
            if first <= since:
                return since
        return since if self._reaches_back else first

    @cached_property
    def _reaches_back(self) -> bool:
        """Whether a processor needs its own dates by a number of days: those of each by another number."""
        return any(
            name in need.of and isinstance(need.lookback, int) and need.lookback
            for name, of_one in self._needs.items()
            for need in of_one
        )


@lru_cache(maxsize=64)
def _starting(graph: NeedsGraph, first: dt.date | None) -> NeedsGraph:
    """The graph that starts at a date. One pass of the engine needs it several times."""
    return graph.resolved(first)


def closure(names: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    """What follows some names, directly or through others; without the names themselves."""
    start = set(names)
    found: set[str] = set()
    todo = list(start)
    while todo:
        new = set(following(todo.pop())) - found
        found |= new
        todo += new
    return found - start
