"""A request for dates becomes a backfill, and every date gets its answer. A dry run takes the same way."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from daemon.control import Refused
from daemon.core import ACTOR, Core
from daemon.decide import Waiting
from daemon.engine.restart import back
from daemon.engine.validate import Validator
from daemon.events import Moved
from daemon.warehouse import WarehouseError
from state.calendar import Day
from state.machine import FINAL, Trigger
from state.pipeline import DONE, FAILED, PENDING
from state.records import Action, Answer, Caller, CheckRow, DateRow, Mode, Scrapers
from state.store import audit, backfills, checks, dates, days
from state.store.backfills import Answered
from state.store.database import Transaction

MOST_DATES = 20_000
"""Dates of one request: half a century of days, and still one quick transaction."""
EARLIEST, LATEST = dt.date(1900, 1, 1), dt.date(2199, 12, 31)
CALENDAR_FRESH_FOR = 60.0
"""Seconds for which the calendar's answer to one request serves the next."""
_RECORDED = ("scrapers", "force", "priority", "max_failures", "note")
"""Options of a request that its row of audit keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for. `dates` is sorted and has no date twice."""

    dates: tuple[dt.date, ...]
    scrapers: Scrapers = Scrapers.ALL
    force: bool = False
    priority: int = 0
    max_failures: int | None = None
    note: str = ""
    by: Caller
    key: str | None = None
    """Idempotency key: the same key with the same request gives the same backfill."""
    digest: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """What became of one requested date. `verdicts` proves an `already_done`."""

    date: dt.date
    outcome: Answer
    reason: str = ""
    verdicts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The answer to a request; `id` is None for a dry run."""

    id: int | None
    start: dt.date
    end: dt.date
    details: tuple[Detail, ...]

    @property
    def outcomes(self) -> dict[str, int]:
        """How many dates had which outcome."""
        return dict(Counter(detail.outcome.value for detail in self.details))


class KeyReused(Exception):
    """The idempotency key belongs to another request."""


class Enqueuer:
    """Takes requests."""

    def __init__(self, core: Core, validator: Validator) -> None:
        self._core = core
        self._validator = validator

    def enqueue(self, request: Request) -> Receipt:
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
            with self._core.db.read() as tx:
                return self._receipt(None, request, self._answers(tx, request, doubt))
        with self._core.db.write() as tx:
            if request.key is not None and backfills.by_key(tx, request.key) is not None:
                raise Refused("the same request is being handled; ask again for its answer")
            details = self._answers(tx, request, doubt)
            number = self._create(tx, request)
            moved = self._store(tx, number, request, details)
            self._record(tx, number, request, details)
        self._core.tell_all(moved)
        return self._receipt(number, request, details)

    def _replay(self, request: Request) -> Receipt | None:
        """The stored answer to a request that was made before under the same key."""
        if request.key is None:
            return None
        with self._core.db.read() as tx:
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
                Detail(date=a.date, outcome=Answer(a.answer), reason=a.reason, verdicts=a.verdicts)
                for a in stored
            ],
        )

    def _receipt(self, number: int | None, request: Request, details: list[Detail]) -> Receipt:
        return Receipt(id=number, start=request.dates[0], end=request.dates[-1], details=tuple(details))

    def _learn_calendar(self, request: Request) -> str:
        """Ask the calendar, unless it just answered; why it could not be asked, or empty."""
        start, end = request.dates[0], request.dates[-1]
        with self._core.db.read() as tx:
            asked = days.oldest_answer(tx, start, end)
        if asked is not None and self._core.now() - asked < CALENDAR_FRESH_FOR:
            return ""
        try:
            self._validator.learn_calendar(start, end)
        except WarehouseError as error:
            return f"the calendar could not be asked: {error}"
        return ""

    def _prove_done(self, request: Request) -> str:
        """Ask the warehouse about dates that are done; why it could not be asked, or empty."""
        if request.force:
            return ""
        with self._core.db.read() as tx:
            done = [row.date for row in dates.among(tx, request.dates).values() if row.state == DONE]
            known = checks.of_dates(tx, done)
        try:
            self._validator.look_again([check for own in known.values() for check in own.values()])
        except WarehouseError as error:
            return f"the warehouse could not be asked again: {error}"
        return ""

    def _answers(self, tx: Transaction, request: Request, doubt: str) -> list[Detail]:
        existing = dates.among(tx, request.dates)
        games = days.known(tx, request.dates[0], request.dates[-1])
        known = checks.of_dates(tx, [row.date for row in existing.values() if row.state == DONE])
        details = []
        for date in request.dates:
            day = self._core.pipeline.seasons.day(date, games[date]) if date in games else None
            details.append(self._answer(request, day, date, existing.get(date), known.get(date, {}), doubt))
        return details

    def _answer(
        self,
        request: Request,
        day: Day | None,
        date: dt.date,
        row: DateRow | None,
        known: Mapping[str, CheckRow],
        doubt: str,
    ) -> Detail:
        if row is not None and row.state not in FINAL:
            reason = f"backfill {row.backfill_id} has it, in {row.state}"
            return Detail(date=date, outcome=Answer.IN_FLIGHT, reason=reason)
        if day is not None and not day.expected:
            if row is not None and row.state == FAILED:  # when it was: it is put back, and dismissed
                return Detail(date=date, outcome=Answer.ENQUEUED, reason=f"failed before; now {day.reason}")
            return Detail(date=date, outcome=Answer.NOT_EXPECTED, reason=day.reason)
        if row is not None and row.state == DONE and not request.force:
            return self._answer_done(date, known, doubt)
        return Detail(date=date, outcome=Answer.ENQUEUED, reason=doubt if day is None else "")

    def _answer_done(self, date: dt.date, known: Mapping[str, CheckRow], doubt: str) -> Detail:
        """A done date is enqueued again for what it lacks by the pipeline file as it is now."""
        names = self._core.pipeline.processors
        lacking = [
            f"{name} {known[name].verdict if name in known else 'was never checked'}"
            for name in names
            if name not in known or not known[name].satisfied
        ]
        if lacking:
            told = f"was done, but: {', '.join(lacking)}"
            return Detail(date=date, outcome=Answer.ENQUEUED, reason=told)
        verdicts = dict(Counter(known[name].verdict.value for name in names))
        return Detail(date=date, outcome=Answer.ALREADY_DONE, reason=doubt, verdicts=verdicts)

    def _create(self, tx: Transaction, request: Request) -> int:
        return backfills.create(
            tx,
            {
                "start": request.dates[0],
                "end": request.dates[-1],
                "dates": len(request.dates),
                "scrapers": request.scrapers.value,
                "force": int(request.force),
                "priority": request.priority,
                "max_failures": request.max_failures,
                "note": request.note,
                "actor": request.by.name,
                "created_at": self._core.now(),
                "request_key": request.key,
                "request_hash": request.digest,
            },
        )

    def _store(self, tx: Transaction, number: int, request: Request, details: list[Detail]) -> list[Moved]:
        """Put the dates under their new backfill; the moves of those that it moves."""
        existing = dates.among(tx, request.dates)
        backfills.add_dates(
            tx,
            number,
            [
                Answered(date=d.date, answer=d.outcome.value, reason=d.reason, verdicts=d.verdicts)
                for d in details
            ],
        )
        new = [d for d in details if d.date not in existing]
        dates.create(tx, [self._new(number, request, d.date) for d in new if d.outcome is Answer.ENQUEUED])
        empty = [d for d in new if d.outcome is Answer.NOT_EXPECTED]
        created = [self._new(number, request, d.date) for d in empty]
        dates.dismiss(tx, created, [d.reason for d in empty], self._core.now())
        again = [existing[d.date] for d in details if d.date in existing and d.outcome is Answer.ENQUEUED]
        return [*map(_dismissed, empty), *self._take_over(tx, number, request, again)]

    def _record(self, tx: Transaction, number: int, request: Request, details: list[Detail]) -> None:
        options = {name: getattr(request, name) for name in _RECORDED}
        asked = {"start": str(request.dates[0]), "end": str(request.dates[-1]), "dates": len(request.dates)}
        outcomes = Counter(detail.outcome.value for detail in details)
        after = {**asked, **options, "outcomes": dict(outcomes)}
        target, now = f"backfill {number}", self._core.now()
        audit.record(tx, request.by, Action.ENQUEUE, target, before=None, after=after, now=now)

    def _new(self, number: int, request: Request, date: dt.date) -> dict[str, object]:
        now = self._core.now()
        season = self._core.pipeline.seasons.season(date)
        return {
            "date": date,
            "state": PENDING,
            "waiting": Waiting.TURN.value,
            "due_at": now,
            "entered_at": now,
            "backfill_id": number,
            "priority": request.priority,
            "mode": (Mode.FORCE if request.force else Mode.NORMAL).value,
            "season": season.name if season else "",
        }

    def _take_over(self, tx: Transaction, number: int, request: Request, ended: list[DateRow]) -> list[Moved]:
        """Ended dates start again, now held by this backfill."""
        reason, now = f"backfill {number}", self._core.now()
        for state, again in ((DONE, Mode.NORMAL), (FAILED, Mode.INSIST)):
            held = [row for row in ended if row.state == state]
            mode = Mode.FORCE if request.force else again
            dates.restart(tx, held, mode=mode, actor=request.by.name, reason=reason, now=now)
            dates.reassign(tx, [row.date for row in held], number, request.priority)
        return [back(row, Trigger.RETRY, actor=request.by.name, reason=reason) for row in ended]


def _dismissed(detail: Detail) -> Moved:
    """The one move of a date on which nothing is expected."""
    return Moved(
        date=detail.date,
        source=PENDING,
        target=DONE,
        trigger=Trigger.DISMISS,
        reason=detail.reason,
        actor=ACTOR,
    )
