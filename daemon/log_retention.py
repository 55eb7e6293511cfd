"""Removes old job logs. The state database keeps their last lines."""

from __future__ import annotations

from contextlib import suppress

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.store import attempts

FOLDER = "attempts"
"""The folder of logs in the state directory."""
CHECK_SECONDS = 3600.0
"""How often the age of logs is checked."""


def prune(context: EngineContext) -> int:
    """Remove files of ended attempts older than `engine.log_retention`. Returns how many logs were removed.

    Raises:
        OSError: one cannot be removed.
    """
    oldest = context.now() - context.pipeline.engine.log_retention
    with context.db.read() as tx:
        running = {str(row.id) for row in attempts.running(tx)}
    removed = 0
    for file in (context.state_dir / FOLDER).glob("*/*.*"):
        # A partial copy may be completed and renamed meanwhile; a job may have put a directory here.
        with suppress(FileNotFoundError, IsADirectoryError):
            if file.stem not in running and file.lstat().st_mtime < oldest:
                file.unlink()
                removed += file.suffix == ".log"
    return removed
