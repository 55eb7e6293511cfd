"""The commands that help a failed date. Light to import: the command line prints them without a database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from backfilld.state.rules.date_outcome import Outcome
from backfilld.state.rules.verdict import Verdict


def helpful_command(date: dt.date, outcome: str, unsatisfied: Mapping[str, str]) -> str:
    """The command that helps a failed date, by the verdicts of its unsatisfied processors.

    A blocked date needs its missing data accepted, or its sources allowed to run; any other a retry.
    """
    if outcome != Outcome.BLOCKED:
        return f"backfilld retry {date}"
    without_data = (name for name, verdict in unsatisfied.items() if verdict == Verdict.NO_DATA)
    name = next(without_data, None)
    return accept_command(date, name) if name else f"backfilld enqueue {date} --sources all"


def accept_command(date: dt.date, processor: str) -> str:
    """The command that waives the output of one processor for one date."""
    return f"backfilld accept {date} {processor} --reason TEXT"
