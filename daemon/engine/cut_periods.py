"""Which requested dates belong to a week or month that a processor takes whole, and that is not whole."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue_request import DateResult
from backfilld.daemon.engine.periods import PeriodKey, period_key, read_status, with_period
from backfilld.state.formatting import format_date_ranges
from backfilld.state.records import EnqueueOutcome
from backfilld.state.rules.machine import FINAL
from backfilld.state.rules.periods import period_title
from backfilld.state.store import dates
from backfilld.state.store.database import Transaction


def with_cut_periods(
    tx: Transaction,
    context: EngineContext,
    details: Sequence[DateResult],
    selection: Collection[str] | None,
) -> list[DateResult]:
    """The results of a request; an enqueued date says which other dates its period will wait for."""
    processors = [p for p in with_period(context.pipeline) if selection is None or p.name in selection]
    requested = {detail.date for detail in details}
    reasons: dict[PeriodKey, str] = {}

    def reason(detail: DateResult) -> str:
        if detail.reason or detail.outcome is not EnqueueOutcome.ENQUEUED:
            return detail.reason
        keys = [period_key(processor, detail.date) for processor in processors]
        for key in keys:
            if key not in reasons:
                reasons[key] = _reason(tx, context, key, requested)
        return "; ".join(filter(None, (reasons[key] for key in keys)))

    return [replace(detail, reason=reason(detail)) for detail in details] if processors else list(details)


def _reason(tx: Transaction, context: EngineContext, key: PeriodKey, requested: Collection[dt.date]) -> str:
    """Which dates of a period no backfill fills that are not known to be complete; empty without any."""
    processor = context.pipeline.processors[key[0]]
    others = [date for date in read_status(tx, context, key).waits_for if date not in requested]
    rows = dates.get_many(tx, others)
    missing = [date for date in others if date not in rows or rows[date].state in FINAL]
    if not missing or processor.period is None:
        return ""
    title = period_title(processor.period, key[1])
    ranges = format_date_ranges(missing)
    return f"{processor.name} takes {title} as a whole, and no backfill has {ranges} of it"
