"""Which periods a plan cannot run: some date of the week or month is not ready, whatever it runs before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence

from backfilld.daemon.engine.periods import expected_dates, not_over
from backfilld.daemon.reports.current_verdicts import Known, Snapshot
from backfilld.state.formatting import format_date_ranges
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.processor_periods import PeriodKey, key_title, period_key

NAMED = 2
"""How many dates of the range a sentence names before it counts the rest."""


def incomplete_periods(
    pipeline: Pipeline,
    snapshot: Snapshot,
    planned: Iterable[tuple[str, dt.date]],
    checks: Known,
    blocked: Mapping[dt.date, str],
) -> dict[tuple[str, dt.date], str]:
    """The planned (processor, date) pairs whose period is not ready, each with the reason.

    `checks` are those of the range as they will be; `blocked` says why dates of the range do not finish.
    """
    pairs = [(name, date) for name, date in planned if pipeline.processors[name].attempt_period]
    reasons = {
        key: _reason(pipeline, snapshot, key, checks, blocked)
        for key in dict.fromkeys(period_key(pipeline.processors[name], date) for name, date in pairs)
    }
    return {
        (name, date): reason
        for name, date in pairs
        if (reason := reasons[period_key(pipeline.processors[name], date)])
    }


def _reason(
    pipeline: Pipeline, snapshot: Snapshot, key: PeriodKey, checks: Known, blocked: Mapping[dt.date, str]
) -> str:
    """What keeps a period back; empty where one attempt can take it."""
    name, title = key[0], key_title(pipeline, key)
    expected, undecided = expected_dates(pipeline, key, snapshot.days, snapshot.asked_at)
    if undecided:
        return f"{name} waits for the end of {title}: the calendar may still expect {max(undecided)}"
    lacking = list(_lacking(snapshot, expected, name, checks))
    outside = [date for date in lacking if not snapshot.start <= date <= snapshot.end]
    if not lacking:
        return ""
    if ahead := not_over(pipeline, outside, snapshot.asked_at):
        return f"{name} waits for the end of {title} on {ahead[-1]}; then {_enqueue(snapshot, outside)}"
    return f"{name} waits for the other dates of {title}: " + "; ".join(
        [*_inside(lacking, outside, blocked), *_outside(snapshot, outside)]
    )


def _lacking(snapshot: Snapshot, expected: Sequence[dt.date], name: str, checks: Known) -> Iterator[dt.date]:
    """The dates on which the processor's output is missing even after the plan."""
    for date in expected:
        check = checks.get(date, {}).get(name) or snapshot.checks.get(date, {}).get(name)
        if check is None or not check.satisfied:
            yield date


def _inside(
    lacking: Sequence[dt.date], outside: Sequence[dt.date], blocked: Mapping[dt.date, str]
) -> Iterator[str]:
    inside = [date for date in lacking if date not in outside]
    for date in inside[:NAMED]:
        yield f"{date} ({blocked.get(date, 'it is not ready')})"
    if len(inside) > NAMED:
        yield f"{len(inside) - NAMED} more"


def _outside(snapshot: Snapshot, outside: Sequence[dt.date]) -> Iterator[str]:
    if outside:
        yield f"{format_date_ranges(outside)} not in this range; {_enqueue(snapshot, outside)}"


def _enqueue(snapshot: Snapshot, outside: Sequence[dt.date]) -> str:
    """The command that enqueues the range together with dates outside of it."""
    return f"backfilld enqueue {min(snapshot.start, outside[0])} {max(snapshot.end, outside[-1])}"
