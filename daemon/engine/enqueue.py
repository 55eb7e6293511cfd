"""Turns a request for dates into a backfill, with an outcome for every date. A dry run stores nothing."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

from backfilld.daemon.engine.collect_evidence import Validator
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.enqueue_models import MOST_DATES, DateResult, EnqueueRequest, EnqueueResult
from backfilld.daemon.engine.enqueue_partial_period_warnings import with_cut_periods
from backfilld.daemon.engine.enqueue_store import store
from backfilld.daemon.engine.operator_commands import Conflict
from backfilld.daemon.engine.withdrawn_waiver_messages import withdrawal
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.base_errors import BackfilldError
from backfilld.state.formatting import format_utc, join_truncated
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.records import CheckRow, DateRow, EnqueueOutcome, RunMode
from backfilld.state.rules.required_calendar_range import calendar_bounds
from backfilld.state.rules.season_calendar import CountsByDate, Day
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import (
    backfill_dates,
    backfills,
    calendar_days,
    checks,
    dates,
)
from backfilld.state.store.checks import CheckResult
from backfilld.state.store.database import Transaction

CALENDAR_FRESH_FOR = 60.0
"""Seconds for which a later request reuses the calendar that an earlier one has queried."""
EXCLUSION_FRESH_FOR = 5.0
"""The same where it excludes a requested date: the operator may have corrected the table since."""


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
        if request.dry_run:
            return self._dry_run(request)
        warning = self._refresh_calendar(request)
        warning = self._revalidate_done(request) or warning
        with self._context.db.write() as tx:
            if request.key is not None and backfills.by_key(tx, request.key) is not None:
                raise Conflict("the same request is being handled; ask again for its answer")
            existing = dates.get_many(tx, request.dates)
            details = self._outcomes(tx, request, existing, warning)
            backfill_id, moves = store(tx, self._context, request, existing, details)
        self._context.emit_all(moves)
        return self._result(backfill_id, request, details)

    def _dry_run(self, request: EnqueueRequest) -> EnqueueResult:
        """The result that the request would have, by the warehouse as it is now. Stores nothing."""
        start, end = request.dates[0], request.dates[-1]
        counts: CountsByDate = {}
        judged: list[CheckResult] = []
        warning = ""
        try:
            if not self._calendar_is_fresh(request):
                counts = self._validator.read_calendar(start, end)
            if not request.force:
                judged = self._validator.preview(self._checks_of_done(request), counts)
        except WarehouseError as error:
            warning = f"the warehouse could not be queried: {error}"
        with self._context.db.read() as tx:
            existing = dates.get_many(tx, request.dates)
            details = self._outcomes(tx, request, existing, warning, counts, judged)
        return self._result(None, request, details)

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
            id=backfill_id,
            start=request.dates[0],
            end=request.dates[-1],
            details=tuple(details),
            selection=request.selection,
        )

    def _refresh_calendar(self, request: EnqueueRequest) -> str:
        """Read the calendar, unless it was just read. Returns why it could not be read, or empty."""
        if self._calendar_is_fresh(request):
            return ""
        try:
            self._validator.refresh_calendar(request.dates[0], request.dates[-1])
        except WarehouseError as error:
            return f"the calendar could not be read: {error}"
        return ""

    def _calendar_is_fresh(self, request: EnqueueRequest) -> bool:
        """Whether the calendar of the dates and their periods was just read. A file is always read again."""
        pipeline = self._context.pipeline
        if pipeline.calendar.file and not pipeline.calendar.is_queried:
            return False
        first, last = (calendar_bounds(pipeline, date) for date in (request.dates[0], request.dates[-1]))
        with self._context.db.read() as tx:
            read_at = calendar_days.oldest_answer(tx, first[0], last[1])
            age = math.inf if read_at is None else self._context.now() - read_at
            if not EXCLUSION_FRESH_FOR <= age < CALENDAR_FRESH_FOR:
                return age < EXCLUSION_FRESH_FOR
            counts = calendar_days.for_dates(tx, request.dates)
        return not any(pipeline.seasons.excludes_by_counts(date, counts[date]) for date in counts)

    def _checks_of_done(self, request: EnqueueRequest) -> list[CheckRow]:
        """The checks of the requested dates that are done."""
        with self._context.db.read() as tx:
            stored_checks = checks.for_dates(tx, dates.done_among(tx, request.dates))
        return [check for date_checks in stored_checks.values() for check in date_checks.values()]

    def _revalidate_done(self, request: EnqueueRequest) -> str:
        """Validate done dates again. Returns why the warehouse could not be queried, or empty."""
        if request.force:
            return ""
        try:
            self._validator.revalidate(self._checks_of_done(request))
        except WarehouseError as error:
            return f"the warehouse could not be queried: {error}"
        return ""

    def _outcomes(
        self,
        tx: Transaction,
        request: EnqueueRequest,
        existing: Mapping[dt.date, DateRow],
        warning: str,
        newer_counts: CountsByDate | None = None,
        judged: Sequence[CheckResult] = (),
    ) -> list[DateResult]:
        """The outcome of each date. `newer_counts` and `judged` are what was read and not stored."""
        wanted = backfill_dates.wanted_among(
            tx, [row.date for row in existing.values() if row.state not in FINAL]
        )
        counts_by_date = calendar_days.between(tx, request.dates[0], request.dates[-1])
        newer = newer_counts or {}
        counts_by_date |= newer
        may_withdraw = [row.date for row in existing.values() if row.state in FINAL or request.force]
        stored_checks = checks.for_dates(tx, may_withdraw)
        for result in judged:
            by_name = stored_checks.get(result.date, {})
            if result.processor in by_name:  # else the date was requeued meanwhile
                by_name[result.processor] = result.applied_to(by_name[result.processor])
        details, today = [], self._today()
        for date in request.dates:
            row = existing.get(date)
            if row is not None and row.state not in FINAL:
                outcome = _outcome_of_live(row, joined=date in wanted)
            else:
                known = date in counts_by_date
                day = self._context.pipeline.seasons.day(date, counts_by_date[date]) if known else None
                outcome = self._outcome(request, day, date, row, stored_checks.get(date, {}), warning, today)
                outcome = replace(outcome, missing=_missing(request, outcome, stored_checks.get(date, {})))
            text = _withdrawal(request, row, outcome, stored_checks.get(date, {}))
            if text:
                outcome = replace(outcome, reason="; ".join(filter(None, (outcome.reason, text))))
            details.append(outcome)
        return with_cut_periods(tx, self._context, details, request.selection, newer)

    def _outcome(
        self,
        request: EnqueueRequest,
        day: Day | None,
        date: dt.date,
        row: DateRow | None,
        stored_checks: Mapping[str, CheckRow],
        warning: str,
        today: dt.date,
    ) -> DateResult:
        if day is not None and not day.expected:
            if row is not None and row.state == FAILED:  # it is requeued, and then dismissed
                return DateResult(
                    date=date, outcome=EnqueueOutcome.ENQUEUED, reason=f"failed before; now {day.reason}"
                )
            old = warning if self._context.pipeline.seasons.excludes_by_counts(date, day.counts) else ""
            return DateResult(
                date=date,
                outcome=EnqueueOutcome.NOT_EXPECTED,
                reason="; ".join(filter(None, (day.reason, old))),
                is_outside=day.has_counts_outside_seasons,
            )
        if row is not None and row.state == DONE and not request.force:
            return self._outcome_of_done(request, date, stored_checks, warning)
        future = "lies in the future" if date > today else ""
        reruns = _dropped_reruns(row, stored_checks) if not request.force else ""
        reason = "; ".join(filter(None, (warning if day is None else "", future, reruns)))
        return DateResult(date=date, outcome=EnqueueOutcome.ENQUEUED, reason=reason)

    def _today(self) -> dt.date:
        """Today in the time zone of the pipeline."""
        zone = ZoneInfo(self._context.pipeline.timezone)
        return dt.datetime.fromtimestamp(self._context.now(), zone).date()

    def _outcome_of_done(
        self, request: EnqueueRequest, date: dt.date, stored_checks: Mapping[str, CheckRow], warning: str
    ) -> DateResult:
        """A done date is enqueued again if a requested processor of today's file is not satisfied."""
        processors = self._context.pipeline.processors
        names = [n for n in processors if request.selection is None or n in request.selection]
        missing = [
            f"{name} {stored_checks[name].verdict if name in stored_checks else 'was never checked'}"
            for name in names
            if name not in stored_checks or not stored_checks[name].satisfied
        ]
        if missing:
            reason = f"was done, but: {', '.join(missing)}"
            return DateResult(date=date, outcome=EnqueueOutcome.ENQUEUED, reason=reason)
        verdicts = dict(Counter(stored_checks[name].verdict.value for name in names))
        beside = [stored_checks[n] for n in processors if n in stored_checks and n not in names]
        lacks = ", ".join(f"{check.processor} {check.verdict}" for check in beside if not check.satisfied)
        by = _stored_evidence([stored_checks[name] for name in names], warning)
        reason = "; ".join(filter(None, (by, f"not selected: {lacks}" if lacks else "")))
        return DateResult(date=date, outcome=EnqueueOutcome.ALREADY_DONE, reason=reason, verdicts=verdicts)


def _missing(
    request: EnqueueRequest, outcome: DateResult, stored_checks: Mapping[str, CheckRow]
) -> tuple[str, ...]:
    """The selected outputs of an ended date that are not complete by its stored verdicts."""
    if outcome.outcome is not EnqueueOutcome.ENQUEUED:
        return ()
    selected = (c for n, c in stored_checks.items() if request.selection is None or n in request.selection)
    return tuple(c.processor for c in selected if not c.verdict.satisfied and not c.failed_rerun)


def _dropped_reruns(row: DateRow | None, stored_checks: Mapping[str, CheckRow]) -> str:
    """The failed reruns of a failed date that a request without force does not repeat."""
    if row is None or row.state != FAILED:
        return ""
    dropped = (c for c in stored_checks.values() if c.failed_rerun and c.mode == RunMode.FORCE)
    names = [check.processor for check in dropped]
    if not names:
        return ""
    failed = f"failed before: the rerun of {join_truncated(names)}"
    return f"{failed}; judged by the rows that are there, --force runs it again"


def _stored_evidence(complete: Sequence[CheckRow], warning: str) -> str:
    """From when the evidence of a done date is that could not be read again; empty where it was."""
    times = [check.asked_at for check in complete if check.asked_at is not None]
    known = f"complete by the evidence of {format_utc(min(times))}" if times else ""
    return "; ".join(filter(None, (known, warning))) if warning else ""


def _withdrawal(
    request: EnqueueRequest, row: DateRow | None, outcome: DateResult, date_checks: Mapping[str, CheckRow]
) -> str:
    """The waivers that a request withdraws of a date: of one that failed, or of what it forces."""
    if outcome.outcome not in (EnqueueOutcome.ENQUEUED, EnqueueOutcome.JOINED) or row is None:
        return ""
    runs = partial(request.runs_again, failed=row.state == FAILED)
    return withdrawal(filter(runs, date_checks.values()))


def _outcome_of_live(row: DateRow, *, joined: bool) -> DateResult:
    """The outcome of a live date: joined, or taken over from a backfill that is being cancelled."""
    if joined:
        reason = f"backfill {row.backfill_id} has it, in {row.state}"
        return DateResult(date=row.date, outcome=EnqueueOutcome.JOINED, reason=reason)
    reason = f"taken over from backfill {row.backfill_id}, which is being cancelled, in {row.state}"
    return DateResult(date=row.date, outcome=EnqueueOutcome.ENQUEUED, reason=reason)
