"""Which outputs were computed from stale ones, directly or through others, by the graph of needs. Pure."""

from __future__ import annotations

import bisect
import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from backfilld.state.rules.needs_graph import NeedsGraph, Pair


def inputs_between(graph: NeedsGraph, stale: Collection[Pair], outputs: Iterable[Pair]) -> set[Pair]:
    """What must be known to exist to say which of `outputs` are computed from stale ones.

    Beside `outputs`, these are the outputs through which they may be. What needs a stale one itself is not
    followed further.
    """
    since = min((date for date, _ in stale), default=dt.date.max)
    stale_dates = _by_processor(stale)
    origins = stale_dates.keys() | graph.downstream(stale_dates)
    between = {name for name in graph.names if any(origins.intersection(n.of) for n in graph.direct(name))}
    found: dict[str, set[dt.date]] = defaultdict(set)
    for date, name in outputs:
        if name in between:
            found[name].add(date)
    for name in graph.latest_first:
        todo = found[name]
        while todo:
            followed = sorted(day for day in todo if not _reaches(graph, stale_dates, name, day))
            todo = set()
            for need in graph.direct(name):
                for of in between.intersection(need.of):
                    new = {*graph.window(need, followed, since)} - found[of]
                    found[of] |= new
                    todo |= new if of == name else set()
    return {(day, name) for name, days in found.items() for day in days}


def _by_processor(pairs: Iterable[Pair]) -> Mapping[str, Sequence[dt.date]]:
    """The dates of each processor, sorted."""
    found: dict[str, list[dt.date]] = defaultdict(list)
    for date, name in sorted(pairs):
        found[name].append(date)
    return found


def _reaches(
    graph: NeedsGraph, dates: Mapping[str, Sequence[dt.date]], processor: str, date: dt.date
) -> bool:
    """Whether an output needs one of these dates of their processors."""
    return any(
        bisect.bisect_left(dates[name], span.first) < bisect.bisect_right(dates[name], span.last)
        for name, span in graph.needs(processor, date)
        if name in dates
    )


class StaleInputs:
    """The inputs of outputs that are stale, or that were computed from stale ones themselves."""

    def __init__(self, graph: NeedsGraph, stale: Collection[Pair], outputs: Iterable[Pair]) -> None:
        """`outputs` are those that exist among what may lie between: nothing else is computed from."""
        self._graph = graph
        self._stale = frozenset(stale)
        self._stale_dates = _by_processor(self._stale)
        self._origins: dict[Pair, list[Pair]] = {}
        self._affected: dict[str, list[dt.date]] = defaultdict(list)
        """By processor, the dates whose output is stale or will be once what is stale has run. Sorted."""
        names_by_date: dict[dt.date, set[str]] = defaultdict(set)
        for date, name in {*outputs, *self._stale}:
            names_by_date[date].add(name)
        for date, names in sorted(names_by_date.items()):
            while new := [
                n for n in names if (date, n) in self._stale or _reaches(graph, self._affected, n, date)
            ]:
                names.difference_update(new)
                for name in new:
                    self._affected[name].append(date)

    def of(self, processor: str, date: dt.date) -> list[Pair]:
        """The stale outputs that an output is computed from, oldest first.

        Of many dates of one processor the first and the last are named. Where no input is stale itself, they
        are those that an input is computed from.
        """
        output, through = (date, processor), list[Pair]()
        while output not in self._origins:
            direct = self._ends(self._stale_dates, output)
            affecting = {} if direct else self._ends(self._affected, output)
            through.append(output)
            if affecting:
                output = min((days[0], name) for name, days in affecting.items())
            else:
                self._origins[output] = sorted({(day, name) for name, days in direct.items() for day in days})
        self._origins.update(dict.fromkeys(through, self._origins[output]))
        return self._origins[output]

    def _ends(
        self, dates: Mapping[str, Sequence[dt.date]], output: Pair
    ) -> Mapping[str, tuple[dt.date, dt.date]]:
        """By processor, the first and the last of some dates that an output needs of it, if any."""
        date, processor = output
        ends: dict[str, tuple[dt.date, dt.date]] = {}
        for name, span in self._graph.needs(processor, date):
            of_one = dates.get(name, ())
            start, stop = bisect.bisect_left(of_one, span.first), bisect.bisect_right(of_one, span.last)
            if start < stop:
                first, last = ends.get(name, (of_one[start], of_one[stop - 1]))
                ends[name] = min(first, of_one[start]), max(last, of_one[stop - 1])
        return ends
