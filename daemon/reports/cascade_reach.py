"""How far a cascade reaches: the done dates that become stale by what it runs, and run after it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping

from backfilld.daemon.engine import upstream
from backfilld.state.pipeline.phase import DONE
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.stale_reach import stale_reach
from backfilld.state.store import checks, dates
from backfilld.state.store.database import Transaction
from backfilld.state.store.output_counts import dates_with_outputs


def further_dates(tx: Transaction, pipeline: Pipeline, chosen: Collection[dt.date], *, force: bool) -> int:
    """How many done dates beside the chosen ones a cascade of these reaches at most.

    It reaches fewer where a job leaves the rows as they are. With `force` every processor runs.
    """
    _, last = dates.span(tx) or (None, dt.date.min)
    graph, found = upstream.needs_graph(tx, pipeline), set[dt.date]()
    for names, of_names in _by_what_runs(pipeline, checks.for_dates(tx, chosen), force=force).items():
        reach = stale_reach(graph, names, of_names, last)
        spans = {name: of_one.other_dates for name, of_one in reach.items()}
        found |= dates_with_outputs(tx, spans, DONE)
    return len(found.difference(chosen))


def _by_what_runs(
    pipeline: Pipeline, stored: Mapping[dt.date, Mapping[str, CheckRow]], *, force: bool
) -> Mapping[frozenset[str], list[dt.date]]:
    """The dates by the processors that run for them: what is stale or missing, or all."""
    found: dict[frozenset[str], list[dt.date]] = defaultdict(list)
    for date, by_name in stored.items():
        runs = {c.processor for c in by_name.values() if force or c.stale_at is not None or not c.satisfied}
        found[frozenset(runs & pipeline.processors.keys())].append(date)
    return found
