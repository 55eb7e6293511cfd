"""What must hold of an attempt when it is claimed: limits, order, gates, stops, and that it is worth it."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from backfilld.daemon.engine.context import ACTOR
from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.processor import Processor
from tests.simulation.budget_invariants import BudgetInvariants
from tests.simulation.external_events import EXTERNAL_RUN
from tests.simulation.quiescence_invariants import Row, Violation, day_of
from tests.simulation.scenario import MAX_REQUESTS

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

DAYS_OF_INPUTS = 31
"""How far back the inputs of a job are queried again before it starts."""
_NOT_CANCELLED = "(status = 'exited' OR detail LIKE 'cannot start%' OR coalesce(stopping, '') <> 'cancelled')"
"""Of ended attempts. A cancel may come between the end of a job by itself and the close of its attempt."""


class ClaimInvariants:
    """Looks at the attempts of one world as they begin."""

    def __init__(self, sim: Simulation, invariants: Invariants, spent: BudgetInvariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._spent = spent
        self._stale_after = sim.pipeline.stale_after
        self._seen = 0
        self._paused_at: dict[str, tuple[float, int]] = {}
        """When each processor was held last, and how many of its attempts had ended by then."""

    def look(self) -> None:
        """Look at the attempts that are new.

        Raises:
            Violation: an invariant does not hold.
        """
        for hold in self._invariants.placed:
            if hold["kind"] == "processor" and hold["actor"] == ACTOR:
                self._breaker(hold)
        fresh = [row for number, row in self._invariants.running.items() if number > self._seen]
        if not fresh:
            return
        self._seen = max(row["id"] for row in fresh)
        self._limits()
        self._pools(fresh)
        for attempt in fresh:
            processor = self._sim.pipeline.processors[attempt["processor"]]
            self._spent.claimed(processor)
            self._is_open(attempt, processor)
            self._in_order(attempt, processor)
            for date in self._invariants.covered[attempt["id"]]:
                self._may_run(date, processor, self._invariants.checks[date, processor.name])

    def _breaker(self, hold: Row) -> None:
        """It takes as many attempts as its limit says to hold a processor: each once, no cancelled one."""
        before, counted = self._paused_at.get(hold["key"], (0.0, 0))
        if before == hold["since"]:
            return
        ended = f"SELECT id FROM attempts WHERE processor = ? AND ended_at > 0 AND {_NOT_CANCELLED}"
        n = len(self._invariants.rows(ended, hold["key"]))
        if n - counted < self._sim.pipeline.jobs.breaker_threshold:
            raise Violation("a failure is counted once", f"{hold['reason']}, after {n - counted} attempts")
        self._paused_at[hold["key"]] = (hold["since"], n)

    def _limits(self) -> None:
        rows = list(self._invariants.running.values())
        if len(rows) > self._sim.pipeline.jobs.slots:
            raise Violation("slots", f"{len(rows)} attempts run")
        for name, n in Counter(row["sequence"] for row in rows if row["sequence"]).items():
            if n > 1:
                raise Violation("sequential over all dates", f"{n} attempts of {name} run")
        for row in rows:
            processor = self._sim.pipeline.processors.get(row["processor"])
            if processor is None:
                continue  # the file no longer has it
            phase = self._sim.pipeline.stage_of[processor.name].phase
            if phase.sequential and row["sequence"] != phase.name:
                raise Violation("sequential over all dates", f"attempt {row['id']} is not of {phase.name}")
            n = sum(other["output"] == row["output"] for other in rows)
            if n > processor.writers:
                raise Violation("one writer per table", f"{n} attempts write {row['output']}")

    def _pools(self, fresh: Sequence[Row]) -> None:
        entered = {self._sim.pipeline.pool_of(row["processor"]) for row in fresh}
        for pool in self._sim.pipeline.pool:
            if self._sim.scenario.is_edited and pool.name not in entered:
                continue  # an edit may have put into it what is running
            if (n := self._invariants.in_pool(pool.name)) > pool.size:
                raise Violation("pools", f"{n} attempts run in {pool.name}")

    def _is_open(self, attempt: Row, processor: Processor) -> None:
        """Nothing starts in closed hours. Those of a world lie within one day in UTC."""
        # Whole seconds, rounded down: less than a microsecond before a window closes, it is open.
        at = dt.datetime.fromtimestamp(int(attempt["claimed_at"]), dt.UTC).time()
        for window in self._sim.pipeline.window:
            if window.concerns(processor.name, processor.pool) and window.closes <= at < window.opens:
                raise Violation("a closed window", f"{processor.name} starts at {at}")

    def _may_run(self, date: str, processor: Processor, check: Row) -> None:
        stage, row = self._sim.pipeline.stage_of[processor.name], self._invariants.dates[date]
        told = f"{processor.name} of {date} starts"
        if row["state"] != stage.name:
            raise Violation("gates in order", f"{told} in {row['state']}")
        self._invariants.sharing.may_run(date, processor, told)
        stops = [str(hold) for hold in self._invariants.held if self._holds(hold, processor)]
        if stops:
            raise Violation("a stop stops", f"{told} in spite of {stops}")
        self._has_no_rival(date, stage, told)
        for other in processor.after:
            if self._sim.pipeline.processors[other].priority == "critical" and not self._stands(date, other):
                raise Violation("after", f"{told} before {other} is satisfied")
        for earlier in self._sim.pipeline.stages[: stage.index]:
            day = self._invariants.day(day_of(date))
            for other in earlier.processors:
                if (
                    not self._sim.pipeline.bypassed(earlier, day)
                    and (date, other.name) not in self._invariants.satisfied
                ):
                    raise Violation("gates in order", f"{told} before {other.name} is satisfied")
        self._is_worth_it(date, processor, check, told)

    def _has_no_rival(self, date: str, stage: Stage, told: str) -> None:
        """Nobody else was seen at work on the same state of the date."""
        for processor in (p for p in stage.processors if self._invariants.asks(date, p)):
            check = self._invariants.checks[date, processor.name]
            evidence = self._invariants.evidence(check)
            is_read = evidence is not None and check["asked_at"] is not None
            run = evidence.open if is_read and check["last_attempt_started_at"] is None else None
            since = check["asked_at"] + self._sim.scenario.query_seconds - run.started_at if run else 0.0
            seen = run is not None and run.detail == EXTERNAL_RUN and abs(since) <= self._stale_after
            # Without a reference its rows are good, once it was judged since that was waived.
            compared = check["verdict"] != "complete" or self._invariants.is_compared(date, processor)
            complete = evidence is not None and self._invariants.is_complete(
                check, evidence, compared=compared
            )
            # By its rows it is complete, until its check command has said otherwise.
            unchecked = (
                check["verdict"] == "unknown" and check["processor"] in self._sim.pipeline.check_commands
            )
            if seen and not complete and not unchecked and not check["accepted_reason"]:
                raise Violation("another controller is waited for", f"{told} while {check['processor']} runs")

    def _stands(self, date: str, name: str) -> bool:
        check = self._invariants.checks[date, name]
        # It satisfies nothing until its date has passed it, or nobody wants its rewrite any more.
        passes = check["mode"] == "cascade" or not self._invariants.sharing.is_selected(date, name)
        complete = passes and check["verdict"] == "complete"
        replaceable = bool(self._sim.pipeline.processors[name].fallbacks)
        return (date, name) in self._invariants.satisfied or complete or replaceable

    def _holds(self, hold: Row, processor: Processor) -> bool:
        return hold["kind"] in ("all", "warehouse") or hold["key"] in (processor.name, processor.table)

    def _is_worth_it(self, date: str, processor: Processor, check: Row, told: str) -> None:
        evidence = self._invariants.evidence(check)
        if evidence is None or evidence.error:
            raise Violation("an error is never an answer", f"{told} without an answer")
        if check["asked_at"] < max(self._invariants.admitted[date], check["last_attempt_ended_at"] or 0.0):
            raise Violation("validation first", f"{told} by an answer from before")
        # The time of a query, and of those of the requests that the one thread of a world serves meanwhile.
        queries = self._sim.scenario.query_seconds * (1 + MAX_REQUESTS)
        max_age = self._sim.pipeline.engine.max_evidence_age + queries
        if check["asked_at"] < self._sim.time - max_age:
            raise Violation("validation first", f"{told} by an old answer")
        if check["asked_at"] < self._sim.started_at and not self._sim.scenario.sets_clock:
            raise Violation("validation first", f"{told} by an answer from before the daemon's start")
        for day, name in self._sim.inputs.of(day_of(date), processor):
            source = self._invariants.checks.get((str(day), name))
            is_near = (day_of(date) - day).days <= DAYS_OF_INPUTS
            if is_near and source and _may_vanish(source) and source["asked_at"] < self._sim.time - max_age:
                raise Violation("validation first", f"{told} by an old answer about {name} of {day}")
        # An attempt counts for the table that it was made for.
        key = date, processor.name, processor.table
        attempt_count = self._invariants.attempt_count[key]
        rewrites = check["mode"] in ("force", "refresh") and (
            check["attempt_count"] == 1 or check["verdict"] in ("untouched", "failed")
        )
        if self._invariants.is_complete(check, evidence) and not rewrites:
            raise Violation("satisfied work is never run again", told)
        self._is_bounded(date, processor, check, told)
        now = self._sim.time - min(self._sim.unnoticed, 0.0)  # by the clock as the engine has seen it
        if check["retry_at"] is not None and attempt_count and now < check["retry_at"]:
            raise Violation("backoff", f"{told} before {check['retry_at']}")
        self._invariants.attempt_count[key] += 1

    def _is_bounded(self, date: str, processor: Processor, check: Row, told: str) -> None:
        """Attempts are left: what a kill kept from beginning is given back, and all before a newer input."""
        key = date, processor.name, processor.table
        if self._invariants.attempt_count[key] and self._has_newer_input(date, processor, check):
            self._invariants.attempt_count[key] = 0
        count = self._invariants.attempt_count[key]
        limit = 1 if check["verdict"] == "excess" else processor.max_attempts
        if count >= limit + self._sim.kills.total():
            raise Violation("attempts are bounded", f"{told} for the {count + 1}. time of {limit}")

    def _may_start(self, processor: Processor, attempt: Row) -> bool:
        """Whether no window concerns a processor, and its pool had a free slot before an attempt began."""
        size = self._sim.pipeline.pool_sizes.get(processor.pool or "")
        full = size is not None and self._invariants.in_pool(processor.pool, attempt["id"]) >= size
        windows = self._sim.pipeline.window
        return not full and not any(one.concerns(processor.name, processor.pool) for one in windows)

    def _in_order(self, attempt: Row, processor: Processor) -> None:
        """Oldest first: nothing that could have had this claim comes before it."""
        phase = self._sim.pipeline.stage_of[processor.name].phase
        rivals = [p.name for p in phase.processor] if phase.sequential else [processor.name]
        covered = self._invariants.covered[attempt["id"]]
        together = self._invariants.periods.ready_together(processor, covered)
        own = (-max(self._invariants.checks[d, processor.name]["priority"] for d in together), covered[0])
        for (date, name), check in self._invariants.checks.items():
            if name not in rivals or (name == processor.name and date in together):
                continue
            held = any(
                self._holds(hold, self._sim.pipeline.processors[name]) for hold in self._invariants.placed
            )
            earlier = check["runnable"] == 1 and not held and (-check["priority"], date) < own
            if earlier and self._may_start(self._sim.pipeline.processors[name], attempt):
                raise Violation(
                    "oldest first", f"{processor.name} of {covered[0]} starts before {name} of {date}"
                )

    def _has_newer_input(self, date: str, processor: Processor, check: Row) -> bool:
        """Whether an input was written since the latest job of the output began, or a job of one has ended.

        Whoever wrote it: while it was not right, the attempts so far may have lacked it. Nor did they have it
        where its date was retried since, which withdraws its waiver: the output waits until that is decided.
        """
        began, warehouse = check["last_attempt_started_at"] or 0.0, self._sim.warehouse
        for day, name in self._sim.inputs.of(day_of(date), processor):
            source = self._invariants.checks.get((str(day), name))
            ended = source is not None and (source["last_attempt_ended_at"] or 0.0) > began
            retried = source is not None and source["mode"] == "retry" and (source["asked_at"] or 0.0) > began
            if (
                ended
                or retried
                or any(at > began for at, _ in warehouse.rows.changes[warehouse.table(name), day])
            ):
                return True
        return False


def _may_vanish(source: Row) -> bool:
    """Whether an input is there by its rows."""
    waived = source["waived_by"] or source["accepted_reason"]
    return source["satisfied"] == 1 and source["verdict"] == "complete" and not waived
