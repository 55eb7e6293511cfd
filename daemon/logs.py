"""Logs of jobs, removed once they are old; the state database keeps their last lines."""

from __future__ import annotations

from daemon.core import Core
from state.store import attempts

FOLDER = "attempts"
"""The folder of logs in the state directory."""
LOOK_SECONDS = 3600.0
"""How often the age of logs is looked at."""


def forget_old(core: Core) -> int:
    """Remove what no running job has written to for `engine.keep_logs`, with its exit status; how many logs.

    Raises:
        OSError: one cannot be removed.
    """
    before = core.now() - core.pipeline.engine.keep_logs
    with core.db.read() as tx:
        running = {str(row.id) for row in attempts.running(tx)}
    logs = (core.state_dir / FOLDER).glob("*/*.log")
    old = [log for log in logs if log.stem not in running and log.stat().st_mtime < before]
    for log in old:
        log.unlink()
        log.with_suffix(".exit").unlink(missing_ok=True)
    return len(old)
