"""How a date ended. Light to import: clients of the API need no pipeline."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a date ended, beside `done` or `failed`."""

    COMPLETE = "complete"
    """Done: every processor is satisfied, or replaced by a fallback."""
    NOT_EXPECTED = "not_expected"
    """Done: the calendar expects nothing."""
    BOOTSTRAP = "bootstrap"
    """Done: the phases after the last gate are skipped in the first days of a season."""
    WAIVED = "waived"
    """Done with a missing or wrong output that an operator accepted or a priority allows."""
    SELECTED = "selected"
    """Done as far as selected: an output that none of its backfills has selected is not satisfied."""
    EXHAUSTED = "exhausted"
    """Failed: the attempts of a processor are used up."""
    BLOCKED = "blocked"
    """Failed: a critical processor has no data, or may not run."""
    CANCELLED = "cancelled"
    """Failed: its backfill was cancelled."""


NOT_RUN = "not run: sources"
"""What the reason of a date says that failed, or goes without an output, as its sources may not run."""
NO_DATA = "no data"
"""What the reason says of an output that was given up for want of data."""
