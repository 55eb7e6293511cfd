"""Queries again what is compared with an output whose verdict or rows have changed, and such references."""

from __future__ import annotations

from collections.abc import Collection

from backfilld.daemon.warehouses.adapter import Answers
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.compared_processors import outdated, waiting_pairs
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import UNCERTAIN
from backfilld.state.store import checks
from backfilld.state.store.database import Transaction


def request_waiting(
    tx: Transaction, pipeline: Pipeline, changed: Collection[Pair], saved: Collection[Pair], now: float
) -> None:
    """Query again what waits for a reference that has another verdict now, or is satisfied."""
    pairs = [pair for pair in waiting_pairs(pipeline, changed) if pair not in saved]
    if not pairs:
        return
    stored = checks.for_dates(tx, {date for date, _ in pairs})
    waiting = [
        (date, name)
        for date, name in pairs
        if (check := stored[date].get(name)) and check.verdict in UNCERTAIN and check.attempt_id is None
    ]
    checks.request_check(tx, waiting, now)


def request_outdated_references(
    tx: Transaction, pipeline: Pipeline, queried: Collection[Pair], answers: Answers, now: float
) -> None:
    """Query a reference again whose stored verdict rests on another row count than it has now."""
    compared = {date for date, name in queried if name in pipeline.references}
    if compared:
        stored = checks.for_dates(tx, compared)
        checks.request_check(tx, outdated(pipeline, queried, stored, answers), now)
