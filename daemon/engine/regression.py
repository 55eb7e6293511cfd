"""Regressions: done dates that are no longer complete, by a partition that expired or by later damage.

Whenever a done date is judged again, by the sweep, by a request for it or as an earlier date of another, the
date shows what it lacks, or nothing any more. Only a certain verdict counts: an error is never an answer. The
date itself stays done until somebody asks for a retry; a later date that looks back at it waits for it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.events import Incident
from backfilld.state.records import CheckRow
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks, staleness
from backfilld.state.store.database import Transaction

UNCERTAIN = (Verdict.UNKNOWN, Verdict.RUNNING)
"""Verdicts that say nothing about what is there."""


def update(tx: Transaction, context: EngineContext, judged: Collection[dt.date]) -> list[Incident]:
    """Have the done ones of the judged dates show what they lack now."""
    before = staleness.done_dates(tx, judged)
    if not before:
        return []
    known = checks.for_dates(tx, before)
    now = {date: _lacks(context, known[date]) for date in before}
    staleness.set_regressed(tx, {date: text for date, text in now.items() if text != before[date]})
    fresh = sorted(date for date, text in now.items() if text and not before[date])
    if not fresh:
        return []
    text = f"done dates that are no longer complete: {len(fresh)}, first {fresh[0]}: {now[fresh[0]]}"
    return [Incident(kind="regressed", text=text)]


def _lacks(context: EngineContext, own: Mapping[str, CheckRow]) -> str:
    """What a date lacks by the latest verdicts, in words."""
    checked = [own[name] for name in context.pipeline.processors if name in own]
    lacking = [check for check in checked if not check.satisfied and check.verdict not in UNCERTAIN]
    return "; ".join(f"{c.processor} is {c.verdict}: {c.reason}".removesuffix(": ") for c in lacking)
