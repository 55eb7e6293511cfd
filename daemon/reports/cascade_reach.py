"""How far a cascade reaches: the done dates that run after it, and the failed ones that it leaves out."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine import missing_upstream
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.needs_graph import NeedsGraph, Span
from backfilld.state.rules.stale_reach import stale_reach
from backfilld.state.store import checks, dates, stale_marks
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates_with_output import dates_with_outputs


@dataclass(frozen=True, slots=True)
class CascadeReach:
    """The dates beside the retried ones that a cascade concerns."""

    further: int = 0
    """How many done dates, at most, become stale by it and run after them."""
    failed_dates: Sequence[dt.date] = ()
    """The failed dates whose outputs are stale or may become so. No cascade runs them, so that what is
    computed from these outputs stays stale."""
    blocking_dates: Sequence[dt.date] = ()
    """The failed dates with missing outputs that the retried ones need, which wait for them."""


NO_REACH = CascadeReach()


def cascade_reach(
    tx: Transaction, pipeline: Pipeline, chosen: Collection[dt.date], *, force: bool
) -> CascadeReach:
    """The reach of a cascade of ended dates, before they are retried.

    It reaches fewer where a job leaves the rows as they are. With `force` every processor runs.
    """
    _, last = dates.span(tx) or (None, dt.date.min)
    graph = missing_upstream.needs_graph(tx, pipeline)
    runs = _by_what_runs(pipeline, checks.for_dates(tx, chosen), force=force)
    further, failed, blocking = set[dt.date](), _failed_inputs(tx, chosen), _blocking(tx, graph, runs)
    for names, of_names in runs.items():
        reach = stale_reach(graph, names, of_names, last)
        spans = {name: of_one.other_dates for name, of_one in reach.items()}
        further |= dates_with_outputs(tx, spans, DONE)
        failed |= dates_with_outputs(tx, spans, FAILED)
    left_out = failed.difference(chosen, blocking)
    return CascadeReach(len(further.difference(chosen)), sorted(left_out), sorted(blocking))


def _blocking(
    tx: Transaction, graph: NeedsGraph, runs: Mapping[frozenset[str], Collection[dt.date]]
) -> set[dt.date]:
    """The other failed dates with a missing output that something needs which runs on a retried date."""
    retried: dict[str, list[dt.date]] = defaultdict(list)
    for names, of_names in runs.items():
        for name in names:
            retried[name] += of_names
    if not graph.earlier(retried):
        return set()
    chosen = {date for of_names in runs.values() for date in of_names}
    first, last = dates.span(tx) or (min(chosen), max(chosen))
    rows = dates.page(tx, start=first, end=max(chosen), states=[FAILED], limit=(last - first).days + 1)
    stored = checks.for_dates(tx, [row.date for row in rows if row.date not in chosen])
    missing = [c for by_name in stored.values() for c in by_name.values() if not c.satisfied]
    ordered = {name: sorted(of_one) for name, of_one in retried.items()}
    return {
        check.date
        for check in missing
        for name, span in graph.needed_by(check.processor, check.date)
        if name in ordered and _has_any(ordered[name], span)
    }


def _has_any(ordered: Sequence[dt.date], span: Span) -> bool:
    """Whether one of some dates, oldest first, lies in a span."""
    at = bisect_left(ordered, span.first)
    return at < len(ordered) and ordered[at] <= span.last


def _failed_inputs(tx: Transaction, chosen: Collection[dt.date]) -> set[dt.date]:
    """The failed dates with stale outputs that outputs of some dates were computed from."""
    outputs = stale_marks.stale_outputs(tx, chosen).values()
    causes = (cause for by_name in outputs for of_one in by_name.values() for cause in of_one)
    return {cause.date for cause in causes if cause.date_failed}


def _by_what_runs(
    pipeline: Pipeline, stored: Mapping[dt.date, Mapping[str, CheckRow]], *, force: bool
) -> Mapping[frozenset[str], list[dt.date]]:
    """The dates by the processors that run for them: what is stale or missing, or all."""
    found: dict[frozenset[str], list[dt.date]] = defaultdict(list)
    for date, by_name in stored.items():
        runs = {c.processor for c in by_name.values() if force or c.stale_at is not None or not c.satisfied}
        found[frozenset(runs & pipeline.processors.keys())].append(date)
    return found
