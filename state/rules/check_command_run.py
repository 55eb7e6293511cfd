"""A run of a check command about one output: whether it has a result, and what is wrong where not. Pure."""

from __future__ import annotations

from dataclasses import dataclass

NOT_FOUND = 127
_NOT_RUNNABLE = (126, NOT_FOUND)
"""The exit codes by which a shell reports a program that it cannot run."""
_SIGNALS = range(129, 193)
"""The exit codes by which a shell reports signals 1 to 64."""
_ENOUGH = 2
"""Runs without a result after which the next one is expected to have none."""


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
    """Of the latest run about the subject that ended. None before the first end, and after a timeout."""
    detail: str = ""
    """The last line of that run's log, or why it has no exit code."""
    failures: int = 0
    """How many runs about the subject ended without a result since the last one that had one."""

    @property
    def failure(self) -> str:
        """Why it ended without a result: its exit code says nothing about the output. Else empty."""
        return self.latest_failure if self.ended_at is not None else ""

    @property
    def previous_failure(self) -> str:
        """Why the run before had no result, while this one waits or runs. Else empty."""
        return self.latest_failure if self.ended_at is None else ""

    @property
    def needs_operator(self) -> bool:
        """Whether another run is not expected to have a result either.

        After one run whose program cannot be run, or after two of any kind. It lasts while the next one runs.
        """
        return self.failures >= _ENOUGH or (self.failures > 0 and self.exit_code in _NOT_RUNNABLE)

    @property
    def latest_failure(self) -> str:
        """Why the latest run that ended had no result. Else empty."""
        if not self.failures:
            return ""
        if self.exit_code is None:
            return self.detail
        because = f": {self.detail}" if self.detail else ""
        if self.exit_code in _NOT_RUNNABLE:
            remedy = "correct expect.check.command, and reload"
            return f"could not run its program, exit {self.exit_code}{because}; {remedy}"
        if self.exit_code in _SIGNALS:
            return f"was killed by signal {self.exit_code - 128}{because}; run it by hand"
        return ""


def has_result(exit_code: int | None) -> bool:
    """Whether an exit code says something about the output; None is that of a run that timed out."""
    return exit_code is not None and exit_code not in _NOT_RUNNABLE and exit_code not in _SIGNALS
