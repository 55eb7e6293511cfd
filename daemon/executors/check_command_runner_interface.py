"""The protocol of what runs check commands (`expect.check`), and the values that it exchanges."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from backfilld.state.rules.needs_graph import Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCommand:
    """A check command for one date, ready to run."""

    pair: Pair
    subject: str
    """What its result is about."""
    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    pass_env: tuple[str, ...] = ()
    """Names of variables of the daemon's environment that it gets too."""
    timeout: float
    """Seconds until its process group gets SIGTERM."""
    grace_period: float
    """Seconds from then to SIGKILL."""
    error_pattern: str | None = None
    """Chooses the line of the log that a verdict shows, in place of the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEnd:
    """How a check command ended."""

    pair: Pair
    subject: str
    exit_code: int | None
    """None where it timed out, or the host could not start it. 127: its program or `cwd` does not exist."""
    detail: str
    """The last line of its log, or why it has no exit code."""


class CheckExecutor(Protocol):
    """Runs check commands. No call waits for one. What runs ends with the daemon."""

    @property
    def running(self) -> Collection[Pair]:
        """The pairs whose command runs, or has ended since the last `poll`."""

    def start(self, command: CheckCommand) -> None:
        """Start a command whose pair is not running. `poll` reports its end, also where it cannot start."""

    def poll(self) -> list[CheckEnd]:
        """The commands that ended since the last call."""
