"""Which executor of the pipeline file supervises an attempt, and which one has its log."""

from __future__ import annotations

from collections.abc import Mapping

from backfilld.daemon.executors.adapter import Executor
from backfilld.state.pipeline.settings_by_kind import LOCAL
from backfilld.state.records import AttemptRow


def supervisor(executors: Mapping[str, Executor], attempt: AttemptRow) -> Executor | None:
    """The executor that finds the job, whatever its name in the pipeline file is now; None if none does.

    An attempt without a handle never began, and each executor reports it so.
    """
    named = executors.get(attempt.executor)
    if attempt.handle is None:
        return named or executors.get(LOCAL)
    first = [named] if named else []
    return next((found for found in [*first, *executors.values()] if found.recognizes(attempt.handle)), None)


def log_keeper(executors: Mapping[str, Executor], attempt: AttemptRow) -> Executor:
    """The executor whose `log` has the attempt's output. All of them keep logs as the same files."""
    return executors.get(attempt.executor) or executors[LOCAL]
