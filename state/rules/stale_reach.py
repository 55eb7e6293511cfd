"""How far a rewrite reaches: the dates on which outputs become stale by it. Pure."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfilld.state.rules.interval_sets import Interval, merged, without
from backfilld.state.rules.needs_graph import NeedsGraph, Pair, Span

_Intervals = dict[str, list[Interval]]
"""By processor: intervals of date ordinals, without their ends."""


@dataclass(frozen=True, slots=True)
class StaleReach:
    """Where the outputs of a processor become stale."""

    rewritten_dates: Sequence[Span]
    """On which of the dates on which processors are rewritten."""
    other_dates: Sequence[Span]
    """On which other dates, if they have output."""


def stale_reach(
    graph: NeedsGraph, rewritten: Collection[str], dates: Iterable[dt.date], last: dt.date
) -> Mapping[str, StaleReach]:
    """What becomes stale, up to the date `last`, once the processors `rewritten` have run on all of `dates`.

    What is computed from their outputs becomes stale, and so does what is computed from that. An output that
    runs itself becomes stale only by an input that does.
    """
    own = merged((date.toordinal(), date.toordinal() + 1) for date in dates)
    first = _reached(graph, dict.fromkeys(rewritten, own), last)
    new = {name: without(of_one, own) if name in rewritten else of_one for name, of_one in first.items()}
    stale: _Intervals = {}
    while any(new.values()):
        for name, of_one in new.items():
            stale[name] = merged([*stale.get(name, ()), *of_one])
        reached = _reached(graph, new, last)
        new = {name: without(of_one, stale.get(name, ())) for name, of_one in reached.items()}
    return {
        name: StaleReach(
            rewritten_dates=[as_span(interval) for interval in without(own, without(own, of_one))],
            other_dates=[as_span(interval) for interval in without(of_one, own)],
        )
        for name, of_one in stale.items()
        if of_one
    }


def computed_from(graph: NeedsGraph, outputs: Iterable[Pair], last: dt.date) -> Mapping[str, Sequence[Span]]:
    """By processor, the dates up to `last` whose output needs one of these, directly or through others."""
    dates: dict[str, list[Interval]] = defaultdict(list)
    for date, name in outputs:
        dates[name].append(as_interval(Span(date, date)))
    new: Mapping[str, Sequence[Interval]] = {name: merged(of_one) for name, of_one in dates.items()}
    found: _Intervals = {}
    while any(new.values()):
        reached = _reached(graph, new, last)
        new = {name: without(of_one, found.get(name, ())) for name, of_one in reached.items()}
        for name, of_one in new.items():
            found[name] = merged([*found.get(name, ()), *of_one])
    return {name: [as_span(interval) for interval in of_one] for name, of_one in found.items()}


def _reached(graph: NeedsGraph, sources: Mapping[str, Sequence[Interval]], last: dt.date) -> _Intervals:
    """What needs some outputs directly, up to `last`."""
    found: _Intervals = defaultdict(list)
    for name, intervals in sources.items():
        for interval in intervals:
            for other, span in graph.needed_by_any(name, as_span(interval)):
                end = min(span.last, last).toordinal() + 1
                if span.first.toordinal() < end:
                    found[other].append((span.first.toordinal(), end))
    return {name: merged(of_one) for name, of_one in found.items()}


def as_interval(span: Span) -> Interval:
    """The dates of a span as ordinals, without the end."""
    return span.first.toordinal(), span.last.toordinal() + 1


def as_span(interval: Interval) -> Span:
    """The dates of an interval of ordinals."""
    start, end = interval
    return Span(dt.date.fromordinal(int(start)), dt.date.fromordinal(int(end) - 1))
