"""A run of a check command about one output: whether it has a result, and what is wrong where not. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127
_SIGNALS = range(129, 193)
"""The exit codes by which a shell reports signals 1 to 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRun:
    """A run of a check command. Times are epoch seconds."""

    subject: str
    """A hash of the command, and of the output as it was."""
    requested_at: float
    started_at: float | None = None
    """None: it waits for its turn."""
    ended_at: float | None = None
    exit_code: int | None = None
    """None while it runs, and where it timed out or could not start."""
    detail: str = ""
    """The last line of its log, or why it has no exit code."""

    @property
    def failure(self) -> str:
        """Why it ended without a result: its exit code says nothing about the output. Else empty."""
        if self.ended_at is None:
            return ""
        if self.exit_code is None:
            return self.detail
        because = f": {self.detail}" if self.detail else ""
        if self.exit_code in (_NOT_EXECUTABLE, _NOT_FOUND):
            remedy = "correct expect.check.command, and reload"
            return f"could not run its program, exit {self.exit_code}{because}; {remedy}"
        if self.exit_code in _SIGNALS:
            return f"was killed by signal {self.exit_code - 128}{because}"
        return ""
