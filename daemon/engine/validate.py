"""The warehouse is asked, and its answers become verdicts. One pass, on a thread of its own.

No transaction is open while the warehouse thinks. An answer counts only if nothing happened to the check
since the question was put; otherwise the question is put again.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from backfilld.daemon.engine import cascade, circuit_breaker, lookback, regression
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.regression import UNCERTAIN
from backfilld.daemon.events import Incident
from backfilld.daemon.warehouses.adapter import Answers, Purpose, Warehouse, WarehouseError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.calendar import Day
from backfilld.state.rules.expectation import Expectation
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.judge import JudgeContext, judge
from backfilld.state.rules.verdict import Evidence
from backfilld.state.store import attempts, calendar_days, checks, dates, holds, work
from backfilld.state.store.checks import CheckResult

CHUNK = 5000
"""How many verdicts one transaction keeps, so that the engine's passes get their turn in between."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds until an unreachable warehouse is asked again: doubled from the first to the longest."""


class Validator:
    """The duty that asks."""

    def __init__(self, context: EngineContext, warehouse: Warehouse) -> None:
        self._context = context
        self._warehouse = warehouse
        self._pause = FIRST_PAUSE
        self._showing_late = frozenset(_showing_late(context.pipeline))

    def run(self) -> int:
        """Ask what is due; how many checks were judged, or 1 for a calendar or an outage learnt of.

        Admission comes first: while dates are about to be admitted, a later question covers more of them,
        until there are enough for one.
        """
        now, most = self._context.now(), self._context.questions
        with self._context.db.read() as tx:
            todo = work.due_queries(tx, now)
            if todo.held and holds.in_force(tx, holds.WAREHOUSE, now):
                return 0
            uncharted = dates.span_waiting(tx, WaitReason.CALENDAR)
            admitting = todo.admitting and not checks.batch_is_full(tx, now, most)
            asks = todo.wanted and not admitting and not uncharted
            soon = (
                checks.due_checks(tx, now + self._context.pipeline.engine.batch_window, most) if asks else []
            )
        due = [c for c in soon if c.processor not in self._showing_late or (c.query_due_at or 0.0) <= now]
        try:
            asked = self._ask(due) if due else 0
            if uncharted:
                self.refresh_calendar(*uncharted)
                asked = 1
        except WarehouseError as error:
            self.pause_queries(error)
            return 1
        if todo.held and not admitting:
            self._lift_hold()
            return max(asked, 1)
        return asked

    def refresh_calendar(self, start: dt.date, end: dt.date) -> None:
        """Ask the calendar about the dates and their lookback, and wake the dates that wait for it.

        Raises:
            WarehouseError: the calendar could not be asked.
        """
        first, last = lookback.calendar_span(self._context.pipeline, start, end)
        answer = self._warehouse.counts(first, last)
        span = (dt.date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1))
        now = self._context.now()
        with self._context.db.write() as tx:
            calendar_days.save(tx, self._context.pipeline.seasons.counts_of(span, answer), now)
            dates.make_waiting_due(tx, WaitReason.CALENDAR, now)

    def revalidate(
        self, known: Sequence[CheckRow], *, purpose: Purpose = "gate", certain: bool = False
    ) -> int:
        """Ask about checks of ended dates, whether or not a question is due, and keep the answers.

        `certain`: keep only those that say what is there, so that an error changes nothing.

        Raises:
            WarehouseError: the warehouse could not be asked.
        """
        its = [check for check in known if check.processor in self._context.pipeline.processors]
        return self._ask(its, purpose=purpose, certain=certain) if its else 0

    def _ask(self, due: Sequence[CheckRow], *, purpose: Purpose = "gate", certain: bool = False) -> int:
        asked_at = self._context.now()
        wanted: dict[str, list[dt.date]] = defaultdict(list)
        for check in due:
            if check.processor in self._context.pipeline.processors:
                wanted[check.processor].append(check.date)
        answers = self._warehouse.evidence(wanted, purpose=purpose)
        if self._context.now() < asked_at:
            return len(due)  # the clock was set back meanwhile: when this was so, nobody can tell; ask again
        if any(answer.open for answer in answers.values()):
            with self._context.db.read() as tx:
                due = attempts.with_attempt_history(tx, due)
        charted = self._days({check.date for check in due})
        for first in range(0, len(due), CHUNK):
            chunk = due[first : first + CHUNK]
            judged = zip(chunk, self._judge(chunk, answers, charted, asked_at), strict=True)
            self._save([(c, j) for c, j in judged if not certain or j.judgement.verdict not in UNCERTAIN])
        return len(due)

    def _days(self, wanted: set[dt.date]) -> Mapping[dt.date, Day]:
        with self._context.db.read() as tx:
            known = calendar_days.for_dates(tx, wanted)
        return {date: self._context.pipeline.seasons.day(date, known.get(date)) for date in wanted}

    def _save(self, judged: Sequence[tuple[CheckRow, CheckResult]]) -> None:
        with self._context.db.write() as tx:
            kept = checks.save(tx, [answer for _, answer in judged])
            counted = [(check, answer) for check, answer in judged if (answer.date, answer.processor) in kept]
            about = sorted({date for date, _ in kept})
            filled = [(a.date, a.processor) for _, a in counted if a.judgement.verdict.satisfied]
            incidents = circuit_breaker.count(tx, self._context, counted)
            moved = cascade.mark_stale(tx, self._context, counted)
            incidents += regression.update(tx, self._context, about)
            dates.make_dates_due(tx, about, dates.IMMEDIATELY)
            lookback.wake_unblocked(tx, self._context, filled)
        self._context.emit_all([*moved, *incidents])

    def _judge(
        self, due: Sequence[CheckRow], answers: Answers, charted: Mapping[dt.date, Day], asked_at: float
    ) -> Iterator[CheckResult]:
        pipeline = self._context.pipeline
        gone = Evidence(error="the pipeline file no longer has this processor")
        for check in due:
            processor = pipeline.processors.get(check.processor)
            evidence = answers.get((check.processor, check.date), gone) if processor else gone
            about = JudgeContext(
                now=self._context.now(),
                stale_after=pipeline.stale_after,
                bootstrap_days=pipeline.bootstrap_days(processor) if processor else 0,
                last_attempt=check.last_attempt,
                previous_attempts=check.previous_attempts,
            )
            expectation = processor.expect if processor else Expectation()
            judgement = judge(evidence, expectation, charted[check.date], about)
            unsettled = judgement.verdict in UNCERTAIN and processor is not None
            # Nobody waits for what was accepted, and the question may have no answer ever.
            again = unsettled and not check.accepted_reason
            yield CheckResult(
                date=check.date,
                processor=check.processor,
                generation=check.generation,
                judgement=judgement,
                asked_at=asked_at,
                ask_again_at=self._context.now() + pipeline.engine.recheck_interval if again else None,
            )

    def pause_queries(self, error: WarehouseError) -> None:
        """Stop asking for a while; every date that waits for a verdict says why."""
        now, reason = self._context.now(), str(error)
        until = error.retry_at if error.retry_at is not None else now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        with self._context.db.write() as tx:
            if not holds.place(tx, holds.WAREHOUSE, "", reason=reason, actor=ACTOR, now=now, until=until):
                holds.prolong(tx, holds.WAREHOUSE, "", reason=reason, until=until)
        self._context.emit(Incident(kind="warehouse", text=reason))

    def _lift_hold(self) -> None:
        """The warehouse answered, or nobody has a question any more."""
        self._pause = FIRST_PAUSE
        with self._context.db.write() as tx:
            holds.release(tx, holds.WAREHOUSE, "")


def _showing_late(pipeline: Pipeline) -> Iterator[str]:
    """Whom it is wrong to ask about a moment too soon: their rows, or those they are measured against."""
    for processor in pipeline.processors.values():
        ratio = processor.expect.ratio
        if processor.settle or (ratio and pipeline.processors[ratio.of].settle):
            yield processor.name
