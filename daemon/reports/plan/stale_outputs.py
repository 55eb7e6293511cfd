"""What a plan leaves behind: unselected outputs from before its jobs, and what it computes from them."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from backfilld.daemon.reports.current_verdicts import Snapshot
from backfilld.daemon.reports.plan.simulate_gates import Task
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.needs_graph import NeedsGraph, Pair, Span
from backfilld.state.rules.processor_selection import downstream
from backfilld.state.rules.transitive_staleness import StaleInputs
from backfilld.state.rules.verdict import Verdict


def becomes_stale(
    pipeline: Pipeline, snapshot: Snapshot, tasks: Iterable[Task], selected: frozenset[str] | None
) -> tuple[Mapping[str, int], dt.date | None]:
    """By processor: on how many dates of the range, at most, its output becomes stale.

    It is computed from what runs, and does not run; or it is computed from such an output. And the last date
    after the range that is computed from what runs, directly or through others; None where no later date is,
    or where everything is selected and nothing of the range becomes stale.
    """
    tasks = list(tasks)
    runs = {(task.date, task.processor) for task in tasks}
    surely = {(task.date, task.processor) for task in tasks if not task.may_be_complete}
    spans: dict[str, list[Span]] = defaultdict(list)
    for name, span in _spans(pipeline, snapshot.start, tasks):
        spans[name].append(span)
    stale = {
        (date, name)
        for name, of_name in spans.items()
        for date in _dates(of_name, snapshot.end)
        if (date, name) not in surely and _has_rows(snapshot, date, name)
    }
    stale |= _computed_from(pipeline, snapshot, stale, runs)
    counts = Counter(name for _, name in stale)
    last = _last_computed_from(pipeline.needs.starting(snapshot.start), runs | stale, snapshot.end)
    is_later = last > snapshot.end and (selected is not None or bool(counts))
    return {name: counts[name] for name in pipeline.processors if name in counts}, last if is_later else None


def _computed_from(
    pipeline: Pipeline, snapshot: Snapshot, stale: set[Pair], runs: Collection[Pair]
) -> set[Pair]:
    """What is computed from outputs that become stale, directly or through others, whether it runs or not."""
    there = {
        (date, name)
        for date, by_name in snapshot.checks.items()
        if snapshot.start <= date <= snapshot.end
        for name in by_name
        if _has_rows(snapshot, date, name)
    }
    outputs = there.union(runs)
    inputs = StaleInputs(pipeline.needs.starting(snapshot.start), stale, outputs)
    return {(date, name) for date, name in outputs if inputs.of(name, date)}


def _last_computed_from(graph: NeedsGraph, outputs: Collection[Pair], range_end: dt.date) -> dt.date:
    """The last date of which an output may be computed from some outputs, directly or through others.

    `outputs` are all that count up to `range_end`; of later dates, each may be there.
    """
    ends: dict[str, dt.date] = {}
    for date, name in outputs:
        ends[name] = max(date, ends.get(name, date))
    for name in reversed(graph.latest_first):
        for need in graph.direct(name):
            for of in ends.keys() & {*need.of}:
                # A number of days after each of its own dates has no end.
                endless = of == name and isinstance(need.lookback, int)
                end = dt.date.max if endless else graph.end(need, ends[of])
                if end > range_end:
                    ends[name] = max(end, ends.get(name, end))
    return max(ends.values(), default=range_end)


def _spans(pipeline: Pipeline, start: dt.date, tasks: Iterable[Task]) -> Iterator[tuple[str, Span]]:
    """What is computed from the outputs of tasks, each with a span of dates."""
    graph = pipeline.needs.starting(start)
    same_date = {name: downstream(pipeline, [name], same_date=True) for name in pipeline.processors}
    for task in tasks:
        yield from ((name, Span(task.date, task.date)) for name in same_date[task.processor])
        yield from graph.needed_by(task.processor, task.date)


def _dates(spans: Iterable[Span], end: dt.date) -> Iterator[dt.date]:
    """The dates of all spans up to `end`, each once."""
    following = dt.date.min.toordinal()
    for span in sorted(spans, key=lambda span: span.first):
        first, last = max(span.first.toordinal(), following), min(span.last, end).toordinal()
        yield from map(dt.date.fromordinal, range(first, last + 1))
        following = max(following, last + 1)


def _has_rows(snapshot: Snapshot, date: dt.date, name: str) -> bool:
    check = snapshot.checks.get(date, {}).get(name)
    return check is not None and check.verdict is not Verdict.NOT_EXPECTED and bool(check.rows)
