"""Queries the warehouse and turns its evidence into verdicts, on the warehouse worker.

No transaction is open while a query runs. A verdict is stored only if its check did not change since the
query was sent; otherwise the check is queried again.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from backfilld.daemon.engine import cascade, circuit_breaker, lookback, recovery, regression
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.regression import UNCERTAIN
from backfilld.daemon.events import Incident
from backfilld.daemon.warehouses.adapter import Answers, Purpose, Warehouse, WarehouseError
from backfilld.state.records import CheckRow
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.expectation import Expectation
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.judge import JudgeContext, judge
from backfilld.state.rules.verdict import Evidence
from backfilld.state.store import attempts, calendar_days, checks, dates, holds, work
from backfilld.state.store.checks import CheckResult

CHUNK = 5000
"""How many verdicts one transaction stores, so that the engine worker can write in between."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds until an unreachable warehouse is queried again: doubled from the first to the longest."""


class Validator:
    """Queries the warehouse for the checks that are due."""

    def __init__(self, context: EngineContext, warehouse: Warehouse) -> None:
        self._context = context
        self._warehouse = warehouse
        self._pause = FIRST_PAUSE

    def run(self) -> int:
        """Query what is due. Returns how many checks were judged; 1 if only the calendar was read or failed.

        Admission comes first: while dates are being admitted, a later query covers more of them, until they
        fill one query.
        """
        now, limit = self._context.now(), self._context.questions
        with self._context.db.read() as tx:
            todo = work.due_queries(tx, now)
            if todo.held and holds.in_force(tx, holds.WAREHOUSE, now):
                return 0
            without_calendar = dates.span_waiting(tx, WaitReason.CALENDAR)
            admitting = todo.admitting and not checks.batch_is_full(tx, now, limit)
            may_query = todo.wanted and not admitting and not without_calendar
            due = (
                checks.due_checks(tx, now + self._context.pipeline.engine.batch_window, limit)
                if may_query
                else []
            )
        try:
            judged_count = self._query(due) if due else 0
            if without_calendar:
                self.refresh_calendar(*without_calendar)
                judged_count = 1
        except WarehouseError as error:
            self.pause_queries(error)
            return 1
        if todo.held and not admitting:
            self._resume_queries()
            return max(judged_count, 1)
        return judged_count

    def refresh_calendar(self, start: dt.date, end: dt.date) -> None:
        """Read the calendar for the dates and their lookback, and make the dates due that wait for it.

        Raises:
            WarehouseError: the calendar could not be read.
        """
        first, last = lookback.calendar_span(self._context.pipeline, start, end)
        answer = self._warehouse.counts(first, last)
        span = (dt.date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1))
        now = self._context.now()
        with self._context.db.write() as tx:
            calendar_days.save(tx, self._context.pipeline.seasons.counts_of(span, answer), now)
            dates.make_waiting_due(tx, WaitReason.CALENDAR, now)

    def revalidate(
        self, stored: Sequence[CheckRow], *, purpose: Purpose = "gate", certain: bool = False
    ) -> int:
        """Query checks of ended dates, whether or not they are due, and store the verdicts.

        `certain`: store no uncertain verdicts, so that a failed query changes nothing.

        Raises:
            WarehouseError: the warehouse could not be queried.
        """
        current = [check for check in stored if check.processor in self._context.pipeline.processors]
        return self._query(current, purpose=purpose, certain=certain) if current else 0

    def _query(self, due: Sequence[CheckRow], *, purpose: Purpose = "gate", certain: bool = False) -> int:
        asked_at = self._context.now()
        dates_by_processor: dict[str, list[dt.date]] = defaultdict(list)
        for check in due:
            if check.processor in self._context.pipeline.processors:
                dates_by_processor[check.processor].append(check.date)
        answers = self._warehouse.evidence(dates_by_processor, purpose=purpose)
        if self._context.now() < asked_at:
            return len(due)  # the clock was set back meanwhile, so the evidence has no usable time
        self._context.latest_query["seconds"] = self._context.now() - asked_at
        if any(evidence.open for evidence in answers.values()):
            with self._context.db.read() as tx:
                due = attempts.with_attempt_history(tx, due)
        days = self._days({check.date for check in due})
        for first in range(0, len(due), CHUNK):
            chunk = due[first : first + CHUNK]
            results = zip(chunk, self._judge(chunk, answers, days, asked_at), strict=True)
            self._save([(c, r) for c, r in results if not certain or r.judgement.verdict not in UNCERTAIN])
        return len(due)

    def _days(self, judged_dates: set[dt.date]) -> Mapping[dt.date, Day]:
        with self._context.db.read() as tx:
            counts = calendar_days.for_dates(tx, judged_dates)
        return {date: self._context.pipeline.seasons.day(date, counts.get(date)) for date in judged_dates}

    def _save(self, results: Sequence[tuple[CheckRow, CheckResult]]) -> None:
        with self._context.db.write() as tx:
            saved_pairs = checks.save(tx, [result for _, result in results])
            saved = [
                (check, result) for check, result in results if (result.date, result.processor) in saved_pairs
            ]
            judged_dates = sorted({date for date, _ in saved_pairs})
            satisfied = [(r.date, r.processor) for _, r in saved if r.judgement.verdict.satisfied]
            incidents = circuit_breaker.count(tx, self._context, saved)
            moves = cascade.mark_stale(tx, self._context, saved)
            moves += recovery.update(tx, self._context, saved)
            incidents += regression.update(tx, self._context, judged_dates)
            dates.make_dates_due(tx, judged_dates, dates.IMMEDIATELY)
            lookback.wake_unblocked(tx, self._context, satisfied)
        self._context.emit_all([*moves, *incidents])

    def _judge(
        self, due: Sequence[CheckRow], answers: Answers, days: Mapping[dt.date, Day], asked_at: float
    ) -> Iterator[CheckResult]:
        pipeline = self._context.pipeline
        unknown_processor = Evidence(error="the pipeline file no longer has this processor")
        for check in due:
            processor = pipeline.processors.get(check.processor)
            evidence = (
                answers.get((check.processor, check.date), unknown_processor)
                if processor
                else unknown_processor
            )
            context = JudgeContext(
                now=self._context.now(),
                stale_after=pipeline.stale_after,
                bootstrap_days=pipeline.bootstrap_days(processor) if processor else 0,
                last_attempt=check.last_attempt_on(processor.table) if processor else None,
                previous_attempts=check.previous_attempts,
            )
            expectation = processor.expect if processor else Expectation()
            judgement = judge(evidence, expectation, days[check.date], context)
            unsettled = judgement.verdict in UNCERTAIN and processor is not None
            # Do not re-query accepted checks: no date waits for them, and the query may never succeed.
            recheck = unsettled and not check.accepted_reason
            yield CheckResult(
                date=check.date,
                processor=check.processor,
                output=processor.table if processor else "",
                generation=check.generation,
                judgement=judgement,
                asked_at=asked_at,
                ask_again_at=self._context.now() + pipeline.engine.recheck_interval if recheck else None,
            )

    def pause_queries(self, error: WarehouseError) -> None:
        """Hold all queries for a while. Dates that wait for a verdict show the reason."""
        now, reason = self._context.now(), str(error)
        until = error.retry_at if error.retry_at is not None else now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        with self._context.db.write() as tx:
            if not holds.place(tx, holds.WAREHOUSE, "", reason=reason, actor=ACTOR, now=now, until=until):
                holds.prolong(tx, holds.WAREHOUSE, "", reason=reason, until=until)
        self._context.emit(Incident(kind="warehouse", text=reason))

    def _resume_queries(self) -> None:
        """End the hold: the warehouse has answered, or no check is due any more."""
        self._pause = FIRST_PAUSE
        with self._context.db.write() as tx:
            holds.release(tx, holds.WAREHOUSE, "")
