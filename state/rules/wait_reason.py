"""What a live date can wait for."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class WaitReason(StrEnum):
    """What a live date can wait for: the closed set behind `waiting_on` and its metric."""

    ENGINE = "engine"
    """The engine's next pass."""
    CALENDAR = "calendar"
    """The calendar's answer, for the date or for one that it needs."""
    VERDICT = "verdict"
    """The result of a query about its tables, or the time of the query that confirms an attempt's."""
    WAREHOUSE = "warehouse"
    """The next query, as the last one failed: a table that is missing, denied or too slow. Or the end of a
    hold of all queries. Or a check command that runs, waits for its turn, or had no result."""
    SLOT = "slot"
    """A free slot: of `slots`, of its sequential phase, of a pool, or of an output table's writers."""
    ATTEMPT = "attempt"
    """The end of one of its jobs."""
    RETRY = "retry"
    """The end of a `backoff`."""
    EARLIER_DATE = "earlier_date"
    """An earlier date that it needs, and whose output is missing."""
    OPEN_RUN = "open_run"
    """The end of an external run, by the run history."""
    PERIOD = "period"
    """Other dates of its week or month, which one attempt computes with it, or the end of that."""
    OTHER_PROCESSOR = "other_processor"
    """A processor that it names in `after`, or a fallback that may still become complete."""
    UNSELECTED = "unselected"
    """An output that it needs, that is missing, and that none of its backfills has selected."""
    HELD = "held"
    """The release of a processor or table: held by the breaker, a budget or a used-up quota."""
    WINDOW = "window"
    """The opening of a `[[window]]` that lets no job of it start now."""
    PAUSED = "paused"
    """Its backfills, all of which are paused or stopped."""


URGENCY = (
    WaitReason.WAREHOUSE,
    WaitReason.VERDICT,
    WaitReason.EARLIER_DATE,
    WaitReason.HELD,
    WaitReason.OPEN_RUN,
    WaitReason.RETRY,
    WaitReason.WINDOW,
    WaitReason.PAUSED,
    WaitReason.UNSELECTED,
    WaitReason.PERIOD,
    WaitReason.OTHER_PROCESSOR,
)
"""The waits of a date's processors; the first is the one that people should hear of first."""


def hiding(reason: WaitReason) -> Sequence[WaitReason]:
    """The waits that a date may show while a processor of it waits for `reason`, that one among them."""
    if reason not in URGENCY:
        return (reason,)
    more_urgent = URGENCY[: URGENCY.index(reason)]
    return (reason, *more_urgent, WaitReason.ATTEMPT, WaitReason.SLOT, WaitReason.PERIOD)
