"""Outputs without rows that attempts were made for: one of these may have left some, which are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.warehouses.adapter import Answers
from backfilld.state.records import CheckRow
from backfilld.state.store import attempts


def with_history(context: EngineContext, due: Sequence[CheckRow], answers: Answers) -> Sequence[CheckRow]:
    """The checks, with all their attempts where a verdict depends on these."""
    if not _needs_history(due, answers):
        return due
    with context.db.read() as tx:
        return attempts.with_attempt_history(tx, due)


def _needs_history(due: Iterable[CheckRow], answers: Answers) -> bool:
    """Whether a run is open, or an output has no rows after an attempt."""
    if any(evidence.open for evidence in answers.values()):
        return True
    tried = ((c.processor, c.date) for c in due if c.last_attempt_ended_at is not None)
    return any(pair in answers and not answers[pair].rows for pair in tried)
