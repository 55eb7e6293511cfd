"""Which outputs were computed from stale ones, directly or through others, by the graph of needs. Pure."""

from __future__ import annotations

import bisect
import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from backfilld.state.rules.needs_graph import NeedsGraph

Pair = tuple[dt.date, str]
"""A date and a processor."""


class StaleInputs:
    """The inputs of outputs that are stale, or that were computed from stale ones themselves."""

    def __init__(self, graph: NeedsGraph, stale: Collection[Pair], outputs: Iterable[Pair]) -> None:
        """`outputs` are those that exist, from the first stale date on: nothing else is computed from."""
        self._graph = graph
        self._stale = frozenset(stale)
        self._affected: dict[str, list[dt.date]] = defaultdict(list)
        """By processor, the dates whose output is stale or will be once what is stale has run. Sorted."""
        names_by_date: dict[dt.date, set[str]] = defaultdict(set)
        for date, name in {*outputs, *self._stale}:
            names_by_date[date].add(name)
        for date, names in sorted(names_by_date.items()):
            while new := [n for n in names if (date, n) in self._stale or self._is_affected(n, date)]:
                names.difference_update(new)
                for name in new:
                    self._affected[name].append(date)

    def of(self, processor: str, date: dt.date) -> list[Pair]:
        """The stale outputs that an output is computed from, oldest first.

        Of many dates of one processor the first and the last are named. Where no input is stale itself, they
        are those that an input is computed from.
        """
        found = sorted(self._affecting(processor, date))
        if direct := [pair for pair in found if pair in self._stale]:
            first = {name: day for day, name in reversed(direct)}
            last = {name: day for day, name in direct}
            return sorted({(day, name) for ends in (first, last) for name, day in ends.items()})
        return [cause for day, name in found[:1] for cause in self.of(name, day)]

    def _is_affected(self, processor: str, date: dt.date) -> bool:
        """Whether an input of an output is stale, or is computed from stale ones."""
        return any(
            bisect.bisect_left(self._affected[name], span.first)
            < bisect.bisect_right(self._affected[name], span.last)
            for name, span in self._graph.needs(processor, date)
        )

    def _affecting(self, processor: str, date: dt.date) -> list[Pair]:
        """The inputs of an output that are stale, or are computed from stale ones."""
        return [
            (day, name)
            for name, span in self._graph.needs(processor, date)
            for day in _between(self._affected[name], span.first, span.last)
        ]


def _between(dates: Sequence[dt.date], first: dt.date, last: dt.date) -> Sequence[dt.date]:
    return dates[bisect.bisect_left(dates, first) : bisect.bisect_right(dates, last)]
