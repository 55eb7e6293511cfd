"""The verdicts of one (processor, date). Pure."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What the evidence of one (processor, date) means."""

    COMPLETE = "complete"
    """The rows are as expected and all rules hold; or none are needed, and the latest run succeeded."""
    NOT_EXPECTED = "not_expected"
    """The calendar expects nothing, or the date is a bootstrap day or outside of `since` to `until`."""
    PARTIAL = "partial"
    """Fewer rows or distinct values than expected."""
    EXCESS = "excess"
    """More rows or distinct values than allowed."""
    DEGRADED = "degraded"
    """The number of rows is right, another rule is broken."""
    UNTOUCHED = "untouched"
    """A rerun exited with 0, and the partition is what it was before."""
    NEVER_RAN = "never_ran"
    """No rows, and no run that ended."""
    NO_DATA = "no_data"
    """No rows, though the latest run succeeded. It explains, and ends no date by itself."""
    FAILED = "failed"
    """No rows, and the latest run failed; or the job of a rerun did not exit with 0."""
    RUNNING = "running"
    """Data is missing or wrong, or cannot be compared with its reference, and an external run is open."""
    UNKNOWN = "unknown"
    """The warehouse gave no usable answer, or a reference is not satisfied. The daemon never acts on it."""

    @property
    def symbol(self) -> str:
        """The sign operators know."""
        return _SYMBOLS[self]

    @property
    def satisfied(self) -> bool:
        """Whether the warehouse holds what is expected."""
        return self in (Verdict.COMPLETE, Verdict.NOT_EXPECTED)


_SYMBOLS = {
    Verdict.COMPLETE: "✓",
    Verdict.NOT_EXPECTED: "–",
    Verdict.PARTIAL: "⚠",
    Verdict.EXCESS: "⚠",
    Verdict.DEGRADED: "⚠",
    Verdict.UNTOUCHED: "⚠",
    Verdict.NEVER_RAN: "○",
    Verdict.NO_DATA: "○",
    Verdict.FAILED: "✗",
    Verdict.RUNNING: "▷",
    Verdict.UNKNOWN: "△",
}


UNCERTAIN = (Verdict.UNKNOWN, Verdict.RUNNING)
"""Verdicts that say nothing about the rows: the daemon queries again without a request."""
