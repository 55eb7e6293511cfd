"""Regressions: done dates that are no longer complete, because of an expired partition or later damage.

A date that was not expected regresses when the calendar expects something of it. A date also regresses when
the pipeline file expects another output of it than when it ended, and the warehouse does not hold that.

Each time a done date is judged again (by the sweep, a request, or a later date's needs) its `regressed`
text is updated. Uncertain verdicts do not count where rows were seen before: an error proves nothing. The
date stays done until an operator retries it. Later dates that need it wait for it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from backfilld.daemon.engine import late_waived_outputs
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.owning_backfills import selected_when_done
from backfilld.daemon.event_types import Incident
from backfilld.state.formatting import format_counts
from backfilld.state.records import CheckRow, DateRow
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import UNCERTAIN, Verdict
from backfilld.state.store import calendar_days, checks, done_date_rechecks
from backfilld.state.store.database import Transaction


def update(tx: Transaction, context: EngineContext, judged_dates: Collection[dt.date]) -> list[Incident]:
    """Update what the done ones of the judged dates are missing. Returns an incident for new regressions."""
    before = done_date_rechecks.done_dates(tx, judged_dates) if judged_dates else {}
    if not before:
        return []
    checks_by_date, counts = checks.for_dates(tx, before), calendar_days.for_dates(tx, before)
    late_waived_outputs.update(tx, before, checks_by_date)
    selected = selected_when_done(tx, list(before.values()))
    missing_now = {
        date: _now_expected(context.pipeline.seasons.day(date, counts[date]))
        if row.outcome == Outcome.NOT_EXPECTED and date in counts
        else _missing(context, row, checks_by_date[date], selected.get(date))
        for date, row in before.items()
    }
    done_date_rechecks.set_regressed(
        tx, {date: text for date, text in missing_now.items() if text != before[date].regressed}
    )
    newly_regressed = sorted(
        date for date, text in missing_now.items() if text and not before[date].regressed
    )
    if not newly_regressed:
        return []
    first = newly_regressed[0]
    total = len(newly_regressed)
    text = f"done dates that are no longer complete: {total}, first {first}: {missing_now[first]}"
    return [Incident(kind="regressed", text=text)]


def _now_expected(day: Day) -> str:
    """What the calendar expects of a date that was dismissed; empty where it still expects nothing."""
    if not day.expected:
        return ""
    return f"was not_expected; the calendar now expects {format_counts(day.counts) or 'data'}"


def _missing(
    context: EngineContext,
    row: DateRow,
    date_checks: Mapping[str, CheckRow],
    selected: Collection[str] | None,
) -> str:
    """The unsatisfied ones of the selected processors (None: of all) with their verdicts, as text.

    While an answer is missing, a date stays regressed with the reason that it had.
    """
    names = [n for n in context.pipeline.processors if selected is None or n in selected]
    checked = [date_checks[name] for name in names if name in date_checks]
    open_ones = [check for check in checked if not check.satisfied]
    unsatisfied = [check for check in open_ones if _is_missing(check)]
    if not unsatisfied and any(check.asked_at is not None for check in open_ones):
        return row.regressed
    return "; ".join(f"{c.processor} is {c.verdict}: {c.reason}".removesuffix(": ") for c in unsatisfied)


def _is_missing(check: CheckRow) -> bool:
    """Whether the output is known to be missing, or was queried and never seen."""
    never_seen = check.verdict is Verdict.UNKNOWN and check.asked_at is not None and check.rows is None
    return never_seen or check.verdict not in UNCERTAIN
