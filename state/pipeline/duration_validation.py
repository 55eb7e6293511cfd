"""Durations that are allowed, and defeat what their key is for."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.state.formatting import format_duration
from backfilld.state.pipeline.pipeline import Pipeline

_LONG_BATCH_WINDOW = 3600.0
"""From this many seconds on, queries wait for others longer than most jobs take."""
_SHORT_LOG_RETENTION = 3600.0
"""Below this many seconds, logs are removed before they can be read."""


def duration_warnings(pipeline: Pipeline) -> Iterator[str]:
    """One line for each such duration."""
    engine, history = pipeline.engine, pipeline.history
    if history and not history.stale_after:
        yield (
            "history.stale_after: at 0 no open run of another scheduler is waited for, and a job starts"
            " beside it; write the longest time that a run takes"
        )
    if engine.batch_window >= _LONG_BATCH_WINDOW:
        waits = format_duration(engine.batch_window)
        yield f"engine.batch_window: a query waits up to {waits} for others; write some seconds"
    if 0 < engine.log_retention < _SHORT_LOG_RETENTION:
        age = format_duration(engine.log_retention)
        yield f"engine.log_retention: logs are removed after {age}; write some days, or 0s to keep them"
