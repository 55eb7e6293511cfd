"""What an operator can change, as the audit names it."""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """The changes that a person can request."""

    ENQUEUE = "enqueue"
    """A backfill was made."""
    PAUSE = "pause"
    """Everything, or a backfill, was paused."""
    RESUME = "resume"
    """A pause, or the stop of a backfill by its `max_failures`, was ended."""
    CANCEL = "cancel"
    """A backfill was cancelled."""
    RETRY = "retry"
    """Dates were put back to pending, or an output of one of them was requested once more."""
    ACCEPT = "accept"
    """Missing or wrong outputs were waived."""
    HOLD = "hold"
    """A processor, a table or the warehouse was held."""
    RELEASE = "release"
    """A hold was ended."""
    RELOAD = "reload"
    """The pipeline file was read again, or a changed one was refused."""
    MARK_LOST = "mark_lost"
    """An attempt whose host is gone was closed."""
