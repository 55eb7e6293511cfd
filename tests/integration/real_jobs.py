"""Helpers for real jobs: wait with a limit, see whether a process lives, change a handle."""

import json
import os
import time
from collections.abc import Callable

from backfilld.daemon.executors.adapter import Handle
from backfilld.daemon.executors.process_identity import stat
from tests.timeouts import PATIENCE


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for the condition, and fail when it does not come true."""
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at, f"waited too long for {what}"
        time.sleep(0.002)


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    facts = stat(pid)
    return facts is not None and facts.state not in "ZX"


def session_lives(session: int) -> bool:
    """Whether a process of the session runs; a zombie does not."""
    found = (stat(name) for name in os.listdir("/proc") if name.isdigit())
    return any(facts.session == session and facts.state not in "ZX" for facts in found if facts)


def changed(handle: Handle | None, **fields: object) -> Handle:
    """A handle with other values in some fields."""
    assert handle is not None
    return json.dumps(json.loads(handle) | fields)
