"""Which requested dates belong to a week or month that a processor takes whole, and that is not whole."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import replace

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue_models import DateResult
from backfilld.daemon.engine.periods import not_over, read_status, without_live_date
from backfilld.state.formatting import format_date_ranges
from backfilld.state.records import EnqueueOutcome
from backfilld.state.rules.processor_periods import PeriodKey, key_title, period_key
from backfilld.state.rules.season_calendar import CountsByDate
from backfilld.state.store import calendar_days
from backfilld.state.store.database import Transaction


def with_cut_periods(
    tx: Transaction,
    context: EngineContext,
    details: Sequence[DateResult],
    selection: Collection[str] | None,
    newer_counts: CountsByDate,
) -> list[DateResult]:
    """The results of a request; an enqueued date says which other dates its period will wait for.

    A date whose calendar could not be read is not named: nothing may be expected of it. `newer_counts` is
    what the calendar counts now, where that is not stored.
    """
    processors = [p for p in context.pipeline.with_period if selection is None or p.name in selection]
    requested = {detail.date for detail in details}
    reasons: dict[PeriodKey, str] = {}

    def reason(detail: DateResult) -> str:
        if detail.reason or detail.outcome is not EnqueueOutcome.ENQUEUED:
            return detail.reason
        keys = [period_key(processor, detail.date) for processor in processors]
        for key in keys:
            if key not in reasons:
                status = read_status(tx, context, key, newer_counts)
                others = [date for date in status.waits_for if date not in requested]
                known = calendar_days.for_dates(tx, others).keys() | newer_counts.keys()
                reasons[key] = _reason(tx, context, key, [date for date in others if date in known])
        return "; ".join(filter(None, (reasons[key] for key in keys)))

    return [replace(detail, reason=reason(detail)) for detail in details] if processors else list(details)


def _reason(tx: Transaction, context: EngineContext, key: PeriodKey, others: Collection[dt.date]) -> str:
    """Which of the other dates that a period waits for no backfill fills, or its end; empty without any."""
    missing = without_live_date(tx, others)
    ahead = not_over(context.pipeline, missing, context.now())
    over = [date for date in missing if date not in ahead]
    reasons = [
        f"which ends on {ahead[-1]}" if ahead else "",
        f"and no backfill has {format_date_ranges(over)} of it" if over else "",
    ]
    whole = f"{key[0]} takes {key_title(context.pipeline, key)} as a whole"
    return ", ".join([whole, *filter(None, reasons)]) if missing else ""
