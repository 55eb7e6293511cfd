"""Logs of jobs, removed once they are old; the state database keeps their last lines."""

from __future__ import annotations

from contextlib import suppress

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.store import attempts

FOLDER = "attempts"
"""The folder of logs in the state directory."""
LOOK_SECONDS = 3600.0
"""How often the age of logs is looked at."""


def prune(context: EngineContext) -> int:
    """Remove the files of ended attempts that are older than `engine.keep_logs`; how many logs.

    Raises:
        OSError: one cannot be removed.
    """
    before = context.now() - context.pipeline.engine.log_retention
    with context.db.read() as tx:
        running = {str(row.id) for row in attempts.running(tx)}
    gone = 0
    for file in (context.state_dir / FOLDER).glob("*/*.*"):
        with suppress(FileNotFoundError):  # a copy that is whole by now, and has its name
            if file.stem not in running and file.stat().st_mtime < before:
                file.unlink()
                gone += file.suffix == ".log"
    return gone
