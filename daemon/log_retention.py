"""Removes old job logs. The state database keeps their last lines."""

from __future__ import annotations

import itertools
from contextlib import suppress

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.executors.local.check_command_runner import FOLDER as CHECKS_FOLDER
from backfilld.state.store import attempts, check_command_runs

FOLDER = "attempts"
"""The folder of logs in the state directory."""
CHECK_SECONDS = 3600.0
"""How often the age of logs is checked; more often where they are kept for less."""
SHORTEST_CHECK_SECONDS = 60.0


def check_interval(retention: float) -> float:
    """Seconds between two checks of the age of logs that are kept for `retention` seconds."""
    return min(CHECK_SECONDS, max(retention, SHORTEST_CHECK_SECONDS))


def prune(context: EngineContext) -> int:
    """Remove the files of ended attempts and check commands that are older than `engine.log_retention`.

    Returns how many logs were removed.

    Raises:
        OSError: one cannot be removed.
    """
    oldest = context.now() - context.pipeline.engine.log_retention
    with context.db.read() as tx:
        running = {str(row.id) for row in attempts.running(tx)}
        checking = {str(date) for date, _ in check_command_runs.running(tx, context.pipeline.check_commands)}
    removed = 0
    folders = context.state_dir / FOLDER, context.state_dir / CHECKS_FOLDER
    for file in itertools.chain.from_iterable(folder.glob("*/*.*") for folder in folders):
        # A partial copy may be completed and renamed meanwhile; a job may have put a directory here.
        with suppress(FileNotFoundError, IsADirectoryError):
            if file.stem not in running | checking and file.lstat().st_mtime < oldest:
                file.unlink()
                removed += file.suffix == ".log"
    return removed
