"""Turns a request for dates into a backfill, with an outcome for every date. A dry run stores nothing."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from backfilld.daemon.engine.collect_evidence import Validator
from backfilld.daemon.engine.commands import Conflict
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.requeue import requeued_event
from backfilld.daemon.events import DateMoved
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.errors import BackfilldError
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING
from backfilld.state.records import Action, Actor, CheckRow, DateRow, EnqueueOutcome, RunMode, Sources
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL, Trigger
from backfilld.state.store import (
    audit,
    backfills,
    calendar_days,
    checks,
    dates,
    pending_rewrites,
    transitions,
)
from backfilld.state.store.backfills import BackfillDateRow
from backfilld.state.store.database import Transaction

MOST_DATES = 20_000
"""Dates of one request: half a century of days, and still one quick transaction."""
EARLIEST, LATEST = dt.date(1900, 1, 1), dt.date(2199, 12, 31)
CALENDAR_FRESH_FOR = 60.0
"""Seconds for which a later request reuses the calendar that an earlier one has read."""
_RECORDED = ("sources", "force", "priority", "max_failures", "note")
"""Options of a request that its audit row records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueRequest:
    """A request for dates. `dates` is sorted, without duplicates."""

    dates: tuple[dt.date, ...]
    sources: Sources = Sources.ALL
    force: bool = False
    priority: int = 0
    max_failures: int | None = None
    note: str = ""
    by: Actor
    key: str | None = None
    """Idempotency key: the same key with the same request returns the same backfill."""
    digest: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DateResult:
    """The outcome of one requested date. `verdicts` prove an `already_done`: how many of each."""

    date: dt.date
    outcome: EnqueueOutcome
    reason: str = ""
    verdicts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueResult:
    """The result of a request. `id` is None for a dry run."""

    id: int | None
    start: dt.date
    end: dt.date
    details: tuple[DateResult, ...]

    @property
    def outcomes(self) -> dict[str, int]:
        """How many dates had which outcome."""
        return dict(Counter(detail.outcome.value for detail in self.details))


class KeyReused(BackfilldError):
    """The idempotency key was used for a different request."""


class Enqueuer:
    """Handles requests for dates."""

    def __init__(self, context: EngineContext, validator: Validator) -> None:
        self._context = context
        self._validator = validator

    def enqueue(self, request: EnqueueRequest) -> EnqueueResult:
        """Give every date an outcome and, unless it is a dry run, enqueue dates in one transaction.

        Raises:
            KeyReused: the idempotency key was used for a different request.
            Conflict: the same request is being handled right now.
        """
        replay = self._replay(request)
        if replay is not None:
            return replay
        warning = self._refresh_calendar(request)
        warning = self._revalidate_done(request) or warning
        if request.dry_run:
            with self._context.db.read() as tx:
                return self._result(None, request, self._outcomes(tx, request, warning))
        with self._context.db.write() as tx:
            if request.key is not None and backfills.by_key(tx, request.key) is not None:
                raise Conflict("the same request is being handled; ask again for its answer")
            details = self._outcomes(tx, request, warning)
            backfill_id = self._create(tx, request)
            moves = self._store(tx, backfill_id, request, details)
            self._record(tx, backfill_id, request, details)
        self._context.emit_all(moves)
        return self._result(backfill_id, request, details)

    def _replay(self, request: EnqueueRequest) -> EnqueueResult | None:
        """The stored result of an earlier request with the same key."""
        if request.key is None:
            return None
        with self._context.db.read() as tx:
            existing_key = backfills.by_key(tx, request.key)
            if existing_key is None:
                return None
            backfill_id, digest = existing_key
            if digest != request.digest:
                raise KeyReused(f"Idempotency-Key was used for backfill {backfill_id} with a different body")
            stored_dates = backfills.dates_page(tx, backfill_id, after=None, limit=MOST_DATES)
        return self._result(
            backfill_id,
            request,
            [
                DateResult(
                    date=a.date, outcome=EnqueueOutcome(a.answer), reason=a.reason, verdicts=a.verdicts
                )
                for a in stored_dates
            ],
        )

    def _result(
        self, backfill_id: int | None, request: EnqueueRequest, details: list[DateResult]
    ) -> EnqueueResult:
        return EnqueueResult(
            id=backfill_id, start=request.dates[0], end=request.dates[-1], details=tuple(details)
        )

    def _refresh_calendar(self, request: EnqueueRequest) -> str:
        """Read the calendar, unless it was just read. Returns why it could not be read, or empty."""
        start, end = request.dates[0], request.dates[-1]
        with self._context.db.read() as tx:
            read_at = calendar_days.oldest_answer(tx, start, end)
        if read_at is not None and self._context.now() - read_at < CALENDAR_FRESH_FOR:
            return ""
        try:
            self._validator.refresh_calendar(start, end)
        except WarehouseError as error:
            return f"the calendar could not be read: {error}"
        return ""

    def _revalidate_done(self, request: EnqueueRequest) -> str:
        """Validate done dates again. Returns why the warehouse could not be queried, or empty."""
        if request.force:
            return ""
        with self._context.db.read() as tx:
            done = [row.date for row in dates.get_many(tx, request.dates).values() if row.state == DONE]
            stored_checks = checks.for_dates(tx, done)
        try:
            self._validator.revalidate(
                [check for date_checks in stored_checks.values() for check in date_checks.values()]
            )
        except WarehouseError as error:
            return f"the warehouse could not be queried: {error}"
        return ""

    def _outcomes(self, tx: Transaction, request: EnqueueRequest, warning: str) -> list[DateResult]:
        existing = dates.get_many(tx, request.dates)
        counts_by_date = calendar_days.between(tx, request.dates[0], request.dates[-1])
        stored_checks = checks.for_dates(tx, [row.date for row in existing.values() if row.state == DONE])
        details = []
        for date in request.dates:
            known = date in counts_by_date
            day = self._context.pipeline.seasons.day(date, counts_by_date[date]) if known else None
            details.append(
                self._outcome(request, day, date, existing.get(date), stored_checks.get(date, {}), warning)
            )
        return details

    def _outcome(
        self,
        request: EnqueueRequest,
        day: Day | None,
        date: dt.date,
        row: DateRow | None,
        stored_checks: Mapping[str, CheckRow],
        warning: str,
    ) -> DateResult:
        if row is not None and row.state not in FINAL:
            reason = f"backfill {row.backfill_id} has it, in {row.state}"
            return DateResult(date=date, outcome=EnqueueOutcome.JOINED, reason=reason)
        if day is not None and not day.expected:
            if row is not None and row.state == FAILED:  # it is requeued, and then dismissed
                return DateResult(
                    date=date, outcome=EnqueueOutcome.ENQUEUED, reason=f"failed before; now {day.reason}"
                )
            return DateResult(date=date, outcome=EnqueueOutcome.NOT_EXPECTED, reason=day.reason)
        if row is not None and row.state == DONE and not request.force:
            return self._outcome_of_done(date, stored_checks, warning)
        return DateResult(date=date, outcome=EnqueueOutcome.ENQUEUED, reason=warning if day is None else "")

    def _outcome_of_done(
        self, date: dt.date, stored_checks: Mapping[str, CheckRow], warning: str
    ) -> DateResult:
        """A done date is enqueued again if a processor of today's pipeline file is not satisfied."""
        names = self._context.pipeline.processors
        missing = [
            f"{name} {stored_checks[name].verdict if name in stored_checks else 'was never checked'}"
            for name in names
            if name not in stored_checks or not stored_checks[name].satisfied
        ]
        if missing:
            reason = f"was done, but: {', '.join(missing)}"
            return DateResult(date=date, outcome=EnqueueOutcome.ENQUEUED, reason=reason)
        verdicts = dict(Counter(stored_checks[name].verdict.value for name in names))
        return DateResult(date=date, outcome=EnqueueOutcome.ALREADY_DONE, reason=warning, verdicts=verdicts)

    def _create(self, tx: Transaction, request: EnqueueRequest) -> int:
        return backfills.create(
            tx,
            {
                "start": request.dates[0],
                "end": request.dates[-1],
                "dates": len(request.dates),
                "sources": request.sources.value,
                "force": int(request.force),
                "priority": request.priority,
                "max_failures": request.max_failures,
                "note": request.note,
                "actor": request.by.name,
                "created_at": self._context.now(),
                "request_key": request.key,
                "request_hash": request.digest,
            },
        )

    def _store(
        self, tx: Transaction, backfill_id: int, request: EnqueueRequest, details: list[DateResult]
    ) -> list[DateMoved]:
        """Store the dates of the new backfill. Returns the moves of dates that it changes."""
        existing = dates.get_many(tx, request.dates)
        backfills.add_dates(
            tx,
            backfill_id,
            [
                BackfillDateRow(date=d.date, answer=d.outcome.value, reason=d.reason, verdicts=d.verdicts)
                for d in details
            ],
        )
        new = [d for d in details if d.date not in existing]
        dates.create(
            tx,
            [
                self._new_row(backfill_id, request, d.date)
                for d in new
                if d.outcome is EnqueueOutcome.ENQUEUED
            ],
        )
        not_expected = [d for d in new if d.outcome is EnqueueOutcome.NOT_EXPECTED]
        created = [self._new_row(backfill_id, request, d.date) for d in not_expected]
        transitions.dismiss(tx, created, [d.reason for d in not_expected], self._context.now())
        requeued = [
            existing[d.date] for d in details if d.date in existing and d.outcome is EnqueueOutcome.ENQUEUED
        ]
        return [*map(_dismissed, not_expected), *self._take_over(tx, backfill_id, request, requeued)]

    def _record(
        self, tx: Transaction, backfill_id: int, request: EnqueueRequest, details: list[DateResult]
    ) -> None:
        options = {name: getattr(request, name) for name in _RECORDED}
        range_facts = {
            "start": str(request.dates[0]),
            "end": str(request.dates[-1]),
            "dates": len(request.dates),
        }
        outcomes = Counter(detail.outcome.value for detail in details)
        after = {**range_facts, **options, "outcomes": dict(outcomes)}
        target, now = f"backfill {backfill_id}", self._context.now()
        audit.record(tx, request.by, Action.ENQUEUE, target, before=None, after=after, now=now)

    def _new_row(self, backfill_id: int, request: EnqueueRequest, date: dt.date) -> dict[str, object]:
        now = self._context.now()
        season = self._context.pipeline.seasons.season(date)
        return {
            "date": date,
            "state": PENDING,
            "waiting": WaitReason.ENGINE.value,
            "due_at": now,
            "entered_at": now,
            "backfill_id": backfill_id,
            "priority": request.priority,
            "mode": (RunMode.FORCE if request.force else RunMode.NORMAL).value,
            "season": season.name if season else "",
        }

    def _take_over(
        self, tx: Transaction, backfill_id: int, request: EnqueueRequest, ended: list[DateRow]
    ) -> list[DateMoved]:
        """Requeue ended dates under this backfill."""
        reason, now = f"backfill {backfill_id}", self._context.now()
        pending_rewrites.forget(tx, [row.date for row in ended])
        for state, requeued in ((DONE, RunMode.NORMAL), (FAILED, RunMode.RETRY)):
            ended_in_state = [row for row in ended if row.state == state]
            mode = RunMode.FORCE if request.force else requeued
            transitions.restart(tx, ended_in_state, mode=mode, actor=request.by.name, reason=reason, now=now)
            dates.reassign(tx, [row.date for row in ended_in_state], backfill_id, request.priority)
        return [requeued_event(row, Trigger.RETRY, actor=request.by.name, reason=reason) for row in ended]


def _dismissed(detail: DateResult) -> DateMoved:
    """The only move of a date on which nothing is expected."""
    return DateMoved(
        date=detail.date,
        source=PENDING,
        target=DONE,
        trigger=Trigger.DISMISS,
        reason=detail.reason,
        actor=ACTOR,
    )
