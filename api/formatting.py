"""Durations, sizes and results of attempts as text, for the terminal and the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from backfilld.state.formatting import format_duration

_LEFT: Mapping[str, str] = {
    "no_data": "no rows",
    "never_ran": "no rows",
    "untouched": "untouched, nothing written",
    "failed": "failed",
    "unknown": "unknown",
    "running": "running elsewhere",
}
"""What an attempt left, where the reason of the verdict is a sentence and no figure."""
_SHARE = re.compile(r"\d+ of \d+ dates [^:]+")
"""The begin of a reason that is that of some of the attempt's dates."""


def format_total_duration(seconds: float, unknown: int) -> str:
    """The total duration of steps, `unknown` of which have no estimate."""
    if not seconds and unknown:
        return "unknown time"
    return format_duration(seconds) + (f" and {unknown} of unknown time" if unknown else "")


def format_bytes(amount: int) -> str:
    """A number of bytes: `340 B`, `1.5 GiB`."""
    value = float(amount)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def format_attempt_result(status: str, exit_code: int | None, verdict: str | None, reason: str) -> str:
    """How the job ended, and what it left: `exit 0 · 2 of 14 rows`, `timed out, exit 143 · no rows`.

    `verdict` is None while the warehouse has not been queried since.
    """
    exited = f"exit {exit_code}" if exit_code is not None else ""
    ended = "" if status == "exited" and exited else status.replace("_", " ")
    job = ", ".join(filter(None, [ended, exited]))
    if verdict is None:
        return job
    share = _SHARE.match(reason)
    left = share[0] if share and verdict in _LEFT else _LEFT.get(verdict)
    return f"{job} · {left or reason or verdict.replace('_', ' ')}"


def attempt_dates(attempt: Mapping[str, Any]) -> str:
    """The dates of an attempt: a date, or a range such as 2021-10-19..2021-10-25."""
    of_attempt = attempt["dates"]
    return str(of_attempt[0]) if len(of_attempt) == 1 else f"{of_attempt[0]}..{of_attempt[-1]}"
