"""Outputs that appear after a date passed without them.

The date stays `waived`, as it ended for its requests. Its reason says what has appeared since, and no longer
why that was missing. If it vanishes again, the reason is as before. An uncertain verdict changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from backfilld.state.formatting import join_truncated
from backfilld.state.records import CheckRow, DateRow
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.verdict import UNCERTAIN, Verdict
from backfilld.state.store import done_date_rechecks
from backfilld.state.store.database import Transaction


def update(
    tx: Transaction, done: Mapping[dt.date, DateRow], checks_by_date: Mapping[dt.date, Mapping[str, CheckRow]]
) -> None:
    """Set the reason of waived dates by which of their waived outputs are missing now."""
    reasons: dict[dt.date, str] = {}
    for date, row in done.items():
        if row.outcome == Outcome.WAIVED:
            waived = [check for check in checks_by_date[date].values() if check.waived_by]
            reason = _reason(waived)
            if reason and reason != row.reason:
                reasons[date] = reason
    done_date_rechecks.set_reasons(tx, reasons)


def _reason(waived: Iterable[CheckRow]) -> str:
    """Why outputs are missing, and which have appeared; empty where a verdict is uncertain."""
    if any(check.verdict in UNCERTAIN for check in waived):
        return ""
    missing = [check for check in waived if check.verdict is not Verdict.COMPLETE]
    arrived = [check.processor for check in waived if check.verdict is Verdict.COMPLETE]
    reasons = [f"{check.processor}: {check.waiver_reason}" for check in missing]
    if arrived:
        reasons.append(f"{join_truncated(arrived)} appeared after the date was waived")
    return "; ".join(reasons)
