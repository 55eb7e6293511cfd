"""Why a date waits for the rest of its week or month: the other dates by name, and the command that helps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.owning_backfills import read_owners
from backfilld.daemon.engine.periods import not_over, read_status
from backfilld.daemon.reports.remedies import helpful_command
from backfilld.state.formatting import format_date_ranges
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import CheckRow, DateRow, Runnable
from backfilld.state.rules.periods import PeriodStatus
from backfilld.state.rules.processor_periods import PeriodKey, key_title, period_key
from backfilld.state.store import checks, dates
from backfilld.state.store.database import Transaction

NAMED = 2
"""How many of the other dates a sentence names before it counts the rest."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a date waits, as a sentence with its remedy, and whether only a person can end the wait."""

    text: str
    needs_operator: bool


@dataclass(frozen=True, slots=True)
class _Missing:
    """A date that keeps its period back, with all its checks."""

    date: dt.date
    row: DateRow | None
    checks: Mapping[str, CheckRow]


class PeriodCauses:
    """Reads in one transaction what periods wait for. The dates of a period share its cause."""

    def __init__(
        self,
        tx: Transaction,
        context: EngineContext,
        cause: Callable[[DateRow], Cause],
        is_decided: Callable[[str, Mapping[str, CheckRow]], bool],
    ) -> None:
        """`cause` is that of a live date; `is_decided` says that an output is not queried again soon."""
        self._tx = tx
        self._context = context
        self._cause = cause
        self._is_decided = is_decided
        self._causes: dict[PeriodKey, Cause] = {}

    def cause(self, date: dt.date) -> Cause:
        """What a date waits for that is ready, and whose period is not."""
        processors = self._context.pipeline.processors
        stored = checks.for_dates(self._tx, [date])[date].values()
        waiting = [c.processor for c in stored if c.runnable == Runnable.WITH_PERIOD]
        keys = [period_key(processors[name], date) for name in waiting if name in processors]
        causes = [self._of_period(key) for key in keys]
        lasting = [cause for cause in causes if cause.needs_operator]
        return next(iter([*lasting, *causes]), Cause("", needs_operator=False))

    def _of_period(self, key: PeriodKey) -> Cause:
        if key not in self._causes:
            # A wait that leads back here has no end, and is described without its cause.
            self._causes[key] = Cause("", needs_operator=True)
            self._causes[key] = self._read(key, read_status(self._tx, self._context, key))
        return self._causes[key]

    def _read(self, key: PeriodKey, status: PeriodStatus) -> Cause:
        title = key_title(self._context.pipeline, key)
        if status.ends_on is not None:
            return Cause(f"the end of {title}: the calendar may still expect {status.ends_on}", False)
        if not status.waits_for:
            return Cause("", needs_operator=False)
        rows, stored = (
            dates.get_many(self._tx, status.waits_for),
            checks.for_dates(self._tx, status.waits_for),
        )
        missing = [_Missing(date, rows.get(date), stored[date]) for date in status.waits_for]
        names = f"the other dates of {title} for {key[0]}"
        for cause in self._lasting(key[0], missing):
            return Cause(f"{names}: {cause}", needs_operator=True)
        if ahead := not_over(self._context.pipeline, _unfilled(missing), self._context.now()):
            return Cause(f"the end of {title} on {ahead[-1]}; then {_enqueue(ahead)}", needs_operator=False)
        shown = [f"{m.date} ({m.row.state if m.row else 'not enqueued'})" for m in missing[:NAMED]]
        more = [f"{len(missing) - NAMED} more"] if len(missing) > NAMED else []
        return Cause(f"{names}: {', '.join([*shown, *more])}", needs_operator=False)

    def _lasting(self, name: str, missing: Sequence[_Missing]) -> Iterable[str]:
        """The dates that only a person can make ready, each with why and what helps."""
        for other in missing:
            if other.row is not None and other.row.state == FAILED:
                unsatisfied = {n: c.verdict for n, c in other.checks.items() if not c.satisfied}
                command = helpful_command(other.date, other.row.reason, unsatisfied)
                yield f"{other.date} failed: {other.row.reason}; {command}"
        decided = _unfilled(other for other in missing if self._is_decided(name, other.checks))
        ahead = not_over(self._context.pipeline, decided, self._context.now())
        if over := [date for date in decided if date not in ahead]:
            yield f"no backfill fills {format_date_ranges(over)}; {_enqueue(over)}"
        for other in missing:
            if other.row is not None and other.row.state not in (DONE, FAILED):
                cause = self._cause(other.row)
                if cause.needs_operator:
                    why = self._not_run(name, other.date) or cause.text
                    yield f"{other.date} in {other.row.state}: {why}"

    def _not_run(self, name: str, date: dt.date) -> str:
        """Why no backfill of a live date runs a processor, with the command that changes it; else empty."""
        pipeline = self._context.pipeline
        owners = read_owners(self._tx, [date])[date]
        if owners.lets_run(pipeline.processors[name], first_phase=pipeline.is_source(name)):
            return ""
        if not owners.selects(name):
            return f"{name} is not selected; backfilld enqueue {date} --select {name}"
        return f"{name} is not run: sources {owners.sources}; backfilld enqueue {date} --sources all"


def _unfilled(missing: Iterable[_Missing]) -> list[dt.date]:
    """The dates that no backfill fills."""
    return [other.date for other in missing if other.row is None or other.row.state == DONE]


def _enqueue(wanted: Sequence[dt.date]) -> str:
    """The command that enqueues dates, and those between them."""
    return " ".join(["backfilld enqueue", *dict.fromkeys([str(wanted[0]), str(wanted[-1])])])
