"""The commands that help a failed date. Light to import: the command line prints them without a database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from backfilld.state.formatting import format_date_ranges
from backfilld.state.rules.date_outcomes import NOT_RUN
from backfilld.state.rules.verdict import Verdict


def helpful_command(date: dt.date, reason: str, unsatisfied: Mapping[str, str]) -> str:
    """The command that helps a failed date, by its reason and the verdicts of its unsatisfied processors.

    Its sources must be allowed to run, or its missing data accepted. All else, such as data that has come
    since, needs a retry.
    """
    if NOT_RUN in reason:
        return f"backfilld enqueue {date} --sources all"
    failed_for = reason.partition(":")[0]
    if unsatisfied.get(failed_for) == Verdict.NO_DATA:
        return accept_command(date, failed_for)
    return f"backfilld retry {date}"


def failed_inputs_remedy(failed: Sequence[dt.date]) -> str:
    """Which failed dates keep outputs stale that are computed from theirs, with the command that helps."""
    words = "which failed, is" if len(failed) == 1 else "which failed, are"
    return (
        f"{format_date_ranges(failed)}, {words} not run, and what is computed from stale outputs there "
        f"stays stale; {retry_command(failed)} --cascade"
    )


def blocking_dates_remedy(failed: Sequence[dt.date]) -> str:
    """Which failed dates retried ones wait for, with the command that helps."""
    return f"blocked by {format_date_ranges(failed)}, which failed; {retry_command(failed)} --cascade"


def retry_command(failed: Sequence[dt.date]) -> str:
    """The command that retries failed dates, and all others that failed between them."""
    span = " ".join(dict.fromkeys([str(min(failed)), str(max(failed))]))
    return f"backfilld retry {span}{' --state failed' if len(failed) > 1 else ''}"


def accept_command(date: dt.date, processor: str) -> str:
    """The command that waives the output of one processor for one date."""
    return f"backfilld accept {date} {processor} --reason TEXT"
