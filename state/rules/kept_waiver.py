"""Waivers of earlier requests: a request keeps those of outputs that it does not run. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, RunMode
from backfilld.state.rules.attempt_limits import figures
from backfilld.state.rules.date_outcomes import NO_DATA, NOT_RUN
from backfilld.state.rules.verdict import Verdict
from backfilld.state.rules.waived_by import WaivedBy

_WITHOUT_ROWS = (Verdict.NEVER_RAN, Verdict.NO_DATA, Verdict.FAILED)
"""Of these one is as good as the other for a date that goes on without the output."""


def is_kept(processor: Processor, checks: Mapping[str, CheckRow]) -> bool:
    """Whether a waiver of an earlier request lets the date pass: what is missing is what it was then.

    That of a fallback does so while one of the fallbacks is complete. `checks` are those of the state.
    """
    check = checks[processor.name]
    # One that sources did not let run is still to be tried, by a request whose sources do.
    may_keep = check.mode == RunMode.WAIVED or (check.is_to_be_tried and NOT_RUN in check.waiver_reason)
    if not (may_keep and check.waived_by) or check.attempt_count:
        return False
    if check.waived_by == WaivedBy.FALLBACK:
        return any(checks[name].verdict.satisfied for name in processor.fallbacks if name in checks)
    return _is_as_waived(check)


def _is_as_waived(check: CheckRow) -> bool:
    """Whether an output is missing or wrong as the reason of its waiver says."""
    if check.verdict in _WITHOUT_ROWS:
        return check.waiver_reason.startswith((NO_DATA, *_WITHOUT_ROWS))
    return f"{check.waiver_reason};".startswith(f"{figures(check)};")
