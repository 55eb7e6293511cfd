"""Queries the warehouse and turns its evidence into verdicts, on the warehouse worker.

No transaction is open while a query runs. The engine worker stores the verdicts (`store_verdicts`).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backfilld.daemon.engine import (
    attempt_history_for_verdicts,
    calendar_and_pipeline_changes,
    check_command_runs,
    comparison_dates,
    failed_date_auto_recovery,
    foreign_writes,
    missing_upstream,
    store_verdicts,
)
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.store_verdicts import Judged
from backfilld.daemon.event_types import Incident
from backfilld.daemon.warehouses.adapter import Answers, Purpose, Warehouse, WarehouseError
from backfilld.state.records import CheckRow
from backfilld.state.rules.compared_processors import new_reference, stored_reference
from backfilld.state.rules.comparison_baseline import CompleteDates
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.gates import WaitReason
from backfilld.state.rules.judge import Judgement, judge
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.required_calendar_range import calendar_span
from backfilld.state.rules.season_calendar import CountsByDate, Day
from backfilld.state.rules.verdict import UNCERTAIN
from backfilld.state.store import (
    calendar_days,
    checks,
    dates,
    failed_date_rechecks,
    holds,
    wakeup_schedule,
)
from backfilld.state.store.checks import CheckResult

CHUNK = 5000
"""How many verdicts one transaction stores, so that the engine worker can write in between."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds until an unreachable warehouse is queried again: doubled from the first to the longest."""

_UNKNOWN_PROCESSOR = Evidence(error="the pipeline file no longer has this processor")


class Validator:
    """Queries the warehouse for the checks that are due."""

    def __init__(self, context: EngineContext, warehouse: Warehouse) -> None:
        self._context = context
        self._warehouse = warehouse
        self._pause = FIRST_PAUSE
        self.judged: deque[Judged] = deque()
        """Verdicts that are not stored yet, by the chunk that one transaction stores."""

    def run(self) -> int:
        """Query what is due. Returns how many checks were judged; 1 if only the calendar was read or failed.

        The verdicts wait in `judged` for the engine, whose next turn stores them and acts on them in one
        transaction. Until it has done so, they are not queried again.
        Admission comes first: while dates are being admitted, a later query covers more of them, until they
        fill one query.
        """
        if self.judged:
            return 0
        now, limit = self._context.now(), self._context.questions
        with self._context.db.read() as tx:
            todo = wakeup_schedule.due_queries(tx, now)
            if todo.held and holds.in_force(tx, holds.WAREHOUSE, now):
                return 0
            without_calendar = dates.span_waiting(tx, WaitReason.CALENDAR) if todo.without_calendar else None
            admitting = todo.admitting and not checks.batch_is_full(tx, now, limit)
            may_query = todo.wanted and not admitting and not without_calendar
            until = now + self._context.pipeline.engine.batch_window
            due = checks.due_checks(tx, until, limit) if may_query else []
        try:
            self.judged.extend(self._query(due) if due else ())
            judged_count = len(due)
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

    def read_calendar(self, start: dt.date, end: dt.date) -> CountsByDate:
        """What the calendar counts on the dates and those that they need. Stores nothing.

        Raises:
            WarehouseError: the calendar could not be read.
        """
        with self._context.db.read() as tx:
            graph = missing_upstream.needs_graph(tx, self._context.pipeline)
        first, last = calendar_span(self._context.pipeline, graph, start, end)
        answer = self._warehouse.counts(first, last)
        return self._context.pipeline.seasons.counts_of(dates_between(first, last), answer)

    def refresh_calendar(self, start: dt.date, end: dt.date) -> None:
        """Read and store the calendar, and make the dates due that wait for it.

        Raises:
            WarehouseError: the calendar could not be read.
        """
        counts = self.read_calendar(start, end)
        with self._context.db.write() as tx:
            events = calendar_and_pipeline_changes.save_counts(tx, self._context, counts)
        self._context.emit_all(events)

    def recheck_calendar(self) -> None:
        """Read the calendar again for live dates and failed ones that are due, unless queries are on hold.

        After the end of a hold the queries of gates come first, which lift it: else the calendar would use
        up a small daily budget each day, and nothing would move.
        """
        now, interval = self._context.now(), self._context.pipeline.engine.recheck_interval
        with self._context.db.read() as tx:
            live = dates.live_span(tx)
            due = failed_date_rechecks.due(tx, now, interval, failed_date_auto_recovery.BATCH)
            failed = [row.date for row in due]
            held = wakeup_schedule.due_queries(tx, now).held
        if held:
            return
        spans = [live] if live else []
        if failed and not (live and live[0] <= failed[0] and failed[-1] <= live[1]):
            spans.append((failed[0], failed[-1]))
        try:
            for span in spans:
                self.refresh_calendar(*span)
        except WarehouseError as error:
            self.pause_queries(error)

    def revalidate(
        self, stored: Sequence[CheckRow], *, purpose: Purpose = "gate", certain: bool = False
    ) -> int:
        """Query checks of ended dates, whether or not they are due, and store the verdicts.

        `certain`: store no uncertain verdicts, so that a failed query changes nothing. Else results of check
        commands count at any age: the sweep runs them anew.

        Raises:
            WarehouseError: the warehouse could not be queried.
        """
        current = [check for check in stored if check.processor in self._context.pipeline.processors]
        for judged in self._query(current, purpose, certain) if current else ():
            with self._context.db.write() as tx:
                events = store_verdicts.store(tx, self._context, judged)
            self._context.emit_all(events)
        return len(current)

    def preview(self, stored: Sequence[CheckRow], counts: CountsByDate) -> list[CheckResult]:
        """What a query of checks would store, with newer counts of the calendar. Stores nothing.

        Raises:
            WarehouseError: the warehouse could not be queried.
        """
        known = [check for check in stored if check.processor in self._context.pipeline.processors]
        return self._ask(known, "gate", counts, any_age=True)[2]

    def _query(
        self, due: Sequence[CheckRow], purpose: Purpose = "gate", certain: bool | None = None
    ) -> Iterator[Judged]:
        """The verdicts of some checks, by the chunk that one transaction stores."""
        due, answers, results = self._ask(due, purpose, {}, any_age=certain is False)
        for first in range(0, len(results), CHUNK):
            chunk = zip(due[first : first + CHUNK], results[first : first + CHUNK], strict=True)
            yield Judged(results=list(chunk), answers=answers, purpose=purpose, certain=bool(certain))

    def _ask(
        self, due: Sequence[CheckRow], purpose: Purpose, counts: CountsByDate, *, any_age: bool
    ) -> tuple[Sequence[CheckRow], Answers, list[CheckResult]]:
        """The checks, the warehouse's answers and the results; without results if the clock was set back."""
        asked_at, steady = self._context.now(), self._context.steady or self._context.now
        began = steady()
        known = [check for check in due if check.processor in self._context.pipeline.processors]
        checked = self._context.pipeline.check_commands
        stamped = [c for c in known if c.processor in checked or foreign_writes.must_read_stamp(c, purpose)]
        answers = self._warehouse.evidence(
            _dates_by_processor(known), purpose=purpose, stamps=_dates_by_processor(stamped)
        )
        if self._context.now() < asked_at:
            return due, answers, []  # the evidence has no usable time
        self._context.latest_query["seconds"] = steady() - began  # also where the clock was set meanwhile
        due = attempt_history_for_verdicts.with_history(self._context, due, answers)
        due, answers = check_command_runs.with_runs(self._context, due, answers, any_age=any_age)
        days = self._days({check.date for check in due}, counts)
        return due, answers, self._judge(due, answers, days, asked_at, purpose)

    def _days(self, judged_dates: set[dt.date], newer: CountsByDate) -> Mapping[dt.date, Day]:
        with self._context.db.read() as tx:
            counts = {**calendar_days.for_dates(tx, judged_dates), **newer}
        return {date: self._context.pipeline.seasons.day(date, counts.get(date)) for date in judged_dates}

    def _judge(
        self,
        due: Sequence[CheckRow],
        answers: Answers,
        days: Mapping[dt.date, Day],
        asked_at: float,
        purpose: Purpose,
    ) -> list[CheckResult]:
        """The result of each check, in the order of `due`. References and earlier dates are judged first."""
        pipeline = self._context.pipeline
        position = {name: number for number, name in enumerate(pipeline.judging_order)}
        stored = self._stored_references(due)
        results: dict[Pair, CheckResult] = {}
        complete = self._complete_dates(due)
        for check in sorted(due, key=lambda check: (position.get(check.processor, -1), check.date)):
            pair = check.date, check.processor
            processor = pipeline.processors.get(check.processor)
            evidence = answers.get((check.processor, check.date), _UNKNOWN_PROCESSOR)
            known = new = compared = None
            if of := pipeline.references.get(check.processor):
                known, new = stored.get(check.date, {}).get(of), results.get((check.date, of))
                compared = new_reference(new.judgement, known) if new else stored_reference(known, evidence)
            context = pipeline.judge_context(
                processor,
                now=self._context.now(),
                last_attempt=check.last_attempt_on(processor.table) if processor else None,
                previous_attempts=check.previous_attempts,
                rewrite=check.follows_rewrite,
                stamp_before=check.stamp_before,
                must_change=check.must_change,
                reference=compared,
            )
            if processor:
                evidence = complete.compared(processor, check.date, evidence)
            expectation = processor.expect if processor else Expectation()
            judgement = judge(evidence, expectation, days[check.date], context)
            if processor:
                complete.record(processor, check.date, judgement, days[check.date].counts)
            # The reference's next verdict leads to the next query; one without a check has none.
            waits = judgement.waits_for_reference and (new is not None or known is not None)
            again = processor is not None and not waits
            result = self._result(check, judgement, asked_at, again=again)
            results[pair] = foreign_writes.with_stamp(result, check, evidence, purpose)
        return [results[check.date, check.processor] for check in due]

    def _result(self, check: CheckRow, judgement: Judgement, asked_at: float, *, again: bool) -> CheckResult:
        """The result of a check, with the time of the next query where the verdict is uncertain.

        Accepted checks are not queried again: no date waits for them, and the query may never succeed.
        """
        recheck = judgement.verdict in UNCERTAIN and again and not check.accepted_reason
        interval = self._context.pipeline.engine.recheck_interval
        processor = self._context.pipeline.processors.get(check.processor)
        return CheckResult(
            date=check.date,
            processor=check.processor,
            output=processor.table if processor else "",
            generation=check.generation,
            judgement=judgement,
            asked_at=asked_at,
            ask_again_at=self._context.now() + interval if recheck else None,
        )

    def _stored_references(self, due: Sequence[CheckRow]) -> Mapping[dt.date, Mapping[str, CheckRow]]:
        """The stored checks of the dates on which something is compared with another processor."""
        compared = {check.date for check in due if check.processor in self._context.pipeline.references}
        if not compared:
            return {}
        with self._context.db.read() as tx:
            return checks.for_dates(tx, compared)

    def _complete_dates(self, due: Sequence[CheckRow]) -> CompleteDates:
        """The stored complete dates that the rules of these checks compare with."""
        processors = self._context.pipeline.processors
        compares = [name for name, processor in processors.items() if processor.expect.days_compared]
        pairs = [(check.date, check.processor) for check in due if check.processor in compares]
        if not pairs:
            return CompleteDates()
        with self._context.db.read() as tx:
            return comparison_dates.stored(tx, processors, pairs)

    def pause_queries(self, error: WarehouseError) -> None:
        """Hold all queries for a while. Dates that wait for a verdict show the reason.

        What an operator has to correct is one incident until then, and is looked at again soon where that
        costs nothing.
        """
        now, reason = self._context.now(), error.reason
        until = error.retry_at if error.retry_at is not None else now + self._pause
        self._pause = FIRST_PAUSE if error.permanent else min(2 * self._pause, LONGEST_PAUSE)
        end: dict[str, Any] = {"until": until, "absolute": error.retry_at is not None}
        with self._context.db.write() as tx:
            placed = holds.place(tx, holds.WAREHOUSE, "", reason=reason, actor=ACTOR, now=now, **end)
            if not placed:
                holds.prolong(tx, holds.WAREHOUSE, "", actor=ACTOR, reason=reason, **end)
        if placed or not error.until_corrected:
            self._context.emit(Incident(kind="warehouse", text=reason))

    def _resume_queries(self) -> None:
        """End the engine's hold: the warehouse has answered, or no check is due. An operator's hold stays."""
        self._pause = FIRST_PAUSE
        with self._context.db.write() as tx:
            holds.release(tx, holds.WAREHOUSE, "", actor=ACTOR)


def _dates_by_processor(wanted: Sequence[CheckRow]) -> Mapping[str, Sequence[dt.date]]:
    dates_by_processor: dict[str, list[dt.date]] = defaultdict(list)
    for check in wanted:
        dates_by_processor[check.processor].append(check.date)
    return dates_by_processor
