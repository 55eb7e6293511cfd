"""A request for dates becomes a backfill, and every date gets its answer. A dry run takes the same way."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from backfilld.daemon.engine.commands import Conflict
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.requeue import requeued_event
from backfilld.daemon.engine.validate import Validator
from backfilld.daemon.events import DateMoved
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.pipeline.models import DONE, FAILED, PENDING
from backfilld.state.records import Action, Actor, CheckRow, DateRow, EnqueueOutcome, RunMode, Sources
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.machine import FINAL, Trigger
from backfilld.state.store import audit, backfills, calendar_days, checks, dates, transitions
from backfilld.state.store.backfills import BackfillDateRow
from backfilld.state.store.database import Transaction

MOST_DATES = 20_000
"""Dates of one request: half a century of days, and still one quick transaction."""
EARLIEST, LATEST = dt.date(1900, 1, 1), dt.date(2199, 12, 31)
CALENDAR_FRESH_FOR = 60.0
"""Seconds for which the calendar's answer to one request serves the next."""
_RECORDED = ("sources", "force", "priority", "max_failures", "note")
"""Options of a request that its row of audit keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueRequest:
    """What somebody asks for. `dates` is sorted and has no date twice."""

    dates: tuple[dt.date, ...]
    sources: Sources = Sources.ALL
    force: bool = False
    priority: int = 0
    max_failures: int | None = None
    note: str = ""
    by: Actor
    key: str | None = None
    """Idempotency key: the same key with the same request gives the same backfill."""
    digest: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DateResult:
    """What became of one requested date. `verdicts` proves an `already_done`."""

    date: dt.date
    outcome: EnqueueOutcome
    reason: str = ""
    verdicts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueueResult:
    """The answer to a request; `id` is None for a dry run."""

    id: int | None
    start: dt.date
    end: dt.date
    details: tuple[DateResult, ...]

    @property
    def outcomes(self) -> dict[str, int]:
        """How many dates had which outcome."""
        return dict(Counter(detail.outcome.value for detail in self.details))


class KeyReused(Exception):
    """The idempotency key belongs to another request."""


class Enqueuer:
    """Takes requests."""

    def __init__(self, context: EngineContext, validator: Validator) -> None:
        self._context = context
        self._validator = validator

    def enqueue(self, request: EnqueueRequest) -> EnqueueResult:
        """Answer for every date and, unless it is a dry run, enqueue what needs work, all in one transaction.

        Raises:
            KeyReused: the idempotency key was used for a different request.
            Refused: the same request is being handled right now.
        """
        replay = self._replay(request)
        if replay is not None:
            return replay
        doubt = self._learn_calendar(request)
        doubt = self._prove_done(request) or doubt
        if request.dry_run:
            with self._context.db.read() as tx:
                return self._receipt(None, request, self._answers(tx, request, doubt))
        with self._context.db.write() as tx:
            if request.key is not None and backfills.by_key(tx, request.key) is not None:
                raise Conflict("the same request is being handled; ask again for its answer")
            details = self._answers(tx, request, doubt)
            number = self._create(tx, request)
            moved = self._store(tx, number, request, details)
            self._record(tx, number, request, details)
        self._context.emit_all(moved)
        return self._receipt(number, request, details)

    def _replay(self, request: EnqueueRequest) -> EnqueueResult | None:
        """The stored answer to a request that was made before under the same key."""
        if request.key is None:
            return None
        with self._context.db.read() as tx:
            found = backfills.by_key(tx, request.key)
            if found is None:
                return None
            number, digest = found
            if digest != request.digest:
                raise KeyReused(f"Idempotency-Key was used for backfill {number} with a different body")
            stored = backfills.dates_page(tx, number, after=None, limit=MOST_DATES)
        return self._receipt(
            number,
            request,
            [
                DateResult(
                    date=a.date, outcome=EnqueueOutcome(a.answer), reason=a.reason, verdicts=a.verdicts
                )
                for a in stored
            ],
        )

    def _receipt(
        self, number: int | None, request: EnqueueRequest, details: list[DateResult]
    ) -> EnqueueResult:
        return EnqueueResult(id=number, start=request.dates[0], end=request.dates[-1], details=tuple(details))

    def _learn_calendar(self, request: EnqueueRequest) -> str:
        """Ask the calendar, unless it just answered; why it could not be asked, or empty."""
        start, end = request.dates[0], request.dates[-1]
        with self._context.db.read() as tx:
            asked = calendar_days.oldest_answer(tx, start, end)
        if asked is not None and self._context.now() - asked < CALENDAR_FRESH_FOR:
            return ""
        try:
            self._validator.refresh_calendar(start, end)
        except WarehouseError as error:
            return f"the calendar could not be asked: {error}"
        return ""

    def _prove_done(self, request: EnqueueRequest) -> str:
        """Ask the warehouse about dates that are done; why it could not be asked, or empty."""
        if request.force:
            return ""
        with self._context.db.read() as tx:
            done = [row.date for row in dates.get_many(tx, request.dates).values() if row.state == DONE]
            known = checks.for_dates(tx, done)
        try:
            self._validator.revalidate([check for own in known.values() for check in own.values()])
        except WarehouseError as error:
            return f"the warehouse could not be asked again: {error}"
        return ""

    def _answers(self, tx: Transaction, request: EnqueueRequest, doubt: str) -> list[DateResult]:
        existing = dates.get_many(tx, request.dates)
        games = calendar_days.between(tx, request.dates[0], request.dates[-1])
        known = checks.for_dates(tx, [row.date for row in existing.values() if row.state == DONE])
        details = []
        for date in request.dates:
            day = self._context.pipeline.seasons.day(date, games[date]) if date in games else None
            details.append(self._answer(request, day, date, existing.get(date), known.get(date, {}), doubt))
        return details

    def _answer(
        self,
        request: EnqueueRequest,
        day: Day | None,
        date: dt.date,
        row: DateRow | None,
        known: Mapping[str, CheckRow],
        doubt: str,
    ) -> DateResult:
        if row is not None and row.state not in FINAL:
            reason = f"backfill {row.backfill_id} has it, in {row.state}"
            return DateResult(date=date, outcome=EnqueueOutcome.JOINED, reason=reason)
        if day is not None and not day.expected:
            if row is not None and row.state == FAILED:  # when it was: it is put back, and dismissed
                return DateResult(
                    date=date, outcome=EnqueueOutcome.ENQUEUED, reason=f"failed before; now {day.reason}"
                )
            return DateResult(date=date, outcome=EnqueueOutcome.NOT_EXPECTED, reason=day.reason)
        if row is not None and row.state == DONE and not request.force:
            return self._answer_done(date, known, doubt)
        return DateResult(date=date, outcome=EnqueueOutcome.ENQUEUED, reason=doubt if day is None else "")

    def _answer_done(self, date: dt.date, known: Mapping[str, CheckRow], doubt: str) -> DateResult:
        """A done date is enqueued again for what it lacks by the pipeline file as it is now."""
        names = self._context.pipeline.processors
        lacking = [
            f"{name} {known[name].verdict if name in known else 'was never checked'}"
            for name in names
            if name not in known or not known[name].satisfied
        ]
        if lacking:
            told = f"was done, but: {', '.join(lacking)}"
            return DateResult(date=date, outcome=EnqueueOutcome.ENQUEUED, reason=told)
        verdicts = dict(Counter(known[name].verdict.value for name in names))
        return DateResult(date=date, outcome=EnqueueOutcome.ALREADY_DONE, reason=doubt, verdicts=verdicts)

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
        self, tx: Transaction, number: int, request: EnqueueRequest, details: list[DateResult]
    ) -> list[DateMoved]:
        """Put the dates under their new backfill; the moves of those that it moves."""
        existing = dates.get_many(tx, request.dates)
        backfills.add_dates(
            tx,
            number,
            [
                BackfillDateRow(date=d.date, answer=d.outcome.value, reason=d.reason, verdicts=d.verdicts)
                for d in details
            ],
        )
        new = [d for d in details if d.date not in existing]
        dates.create(
            tx, [self._new(number, request, d.date) for d in new if d.outcome is EnqueueOutcome.ENQUEUED]
        )
        empty = [d for d in new if d.outcome is EnqueueOutcome.NOT_EXPECTED]
        created = [self._new(number, request, d.date) for d in empty]
        transitions.dismiss(tx, created, [d.reason for d in empty], self._context.now())
        again = [
            existing[d.date] for d in details if d.date in existing and d.outcome is EnqueueOutcome.ENQUEUED
        ]
        return [*map(_dismissed, empty), *self._take_over(tx, number, request, again)]

    def _record(
        self, tx: Transaction, number: int, request: EnqueueRequest, details: list[DateResult]
    ) -> None:
        options = {name: getattr(request, name) for name in _RECORDED}
        asked = {"start": str(request.dates[0]), "end": str(request.dates[-1]), "dates": len(request.dates)}
        outcomes = Counter(detail.outcome.value for detail in details)
        after = {**asked, **options, "outcomes": dict(outcomes)}
        target, now = f"backfill {number}", self._context.now()
        audit.record(tx, request.by, Action.ENQUEUE, target, before=None, after=after, now=now)

    def _new(self, number: int, request: EnqueueRequest, date: dt.date) -> dict[str, object]:
        now = self._context.now()
        season = self._context.pipeline.seasons.season(date)
        return {
            "date": date,
            "state": PENDING,
            "waiting": WaitReason.ENGINE.value,
            "due_at": now,
            "entered_at": now,
            "backfill_id": number,
            "priority": request.priority,
            "mode": (RunMode.FORCE if request.force else RunMode.NORMAL).value,
            "season": season.name if season else "",
        }

    def _take_over(
        self, tx: Transaction, number: int, request: EnqueueRequest, ended: list[DateRow]
    ) -> list[DateMoved]:
        """Ended dates start again, now held by this backfill."""
        reason, now = f"backfill {number}", self._context.now()
        for state, again in ((DONE, RunMode.NORMAL), (FAILED, RunMode.RETRY_NO_DATA)):
            held = [row for row in ended if row.state == state]
            mode = RunMode.FORCE if request.force else again
            transitions.restart(tx, held, mode=mode, actor=request.by.name, reason=reason, now=now)
            dates.reassign(tx, [row.date for row in held], number, request.priority)
        return [requeued_event(row, Trigger.RETRY, actor=request.by.name, reason=reason) for row in ended]


def _dismissed(detail: DateResult) -> DateMoved:
    """The one move of a date on which nothing is expected."""
    return DateMoved(
        date=detail.date,
        source=PENDING,
        target=DONE,
        trigger=Trigger.DISMISS,
        reason=detail.reason,
        actor=ACTOR,
    )
