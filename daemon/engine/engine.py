"""The engine: the order in which one tick runs its tasks, and what it does at start."""

from __future__ import annotations

from collections.abc import Mapping

from backfilld import __version__
from backfilld.daemon.clock_steps import STEP_SECONDS, ClockStepDetector
from backfilld.daemon.engine import (
    failed_date_auto_recovery,
    missing_upstream,
    periods,
    scheduled_refreshes,
    store_verdicts,
)
from backfilld.daemon.engine.advance import Advancer
from backfilld.daemon.engine.attempt_monitor import AttemptMonitor
from backfilld.daemon.engine.calendar_and_pipeline_changes import apply_pipeline_changes
from backfilld.daemon.engine.check_command_runs import CheckRuns
from backfilld.daemon.engine.collect_evidence import Validator
from backfilld.daemon.engine.context import ACTOR, EngineContext
from backfilld.daemon.engine.launch import Launcher
from backfilld.daemon.engine.owning_backfills import still_forced
from backfilld.daemon.engine.partly_selected_dates import unselected_missing
from backfilld.daemon.engine.requeue_dates import readmit
from backfilld.daemon.engine.revalidation import Sweeper
from backfilld.daemon.event_types import Incident
from backfilld.daemon.executors.adapter import Executor
from backfilld.daemon.executors.check_command_runner_interface import CheckExecutor
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.records import DateRow, RunMode
from backfilld.state.rules.gates import WaitReason
from backfilld.state.store import (
    attempts,
    checks,
    circuit_breaker,
    clock_set_back,
    dates,
    holds,
    pipeline_fingerprint,
    reset_checks,
    wakeup_schedule,
)
from backfilld.state.store.database import Transaction
from backfilld.state.store.wakeup_schedule import EngineSchedule


class Engine:
    """Moves dates, one tick at a time. The caller decides when to tick; no method waits or loops."""

    def __init__(
        self,
        context: EngineContext,
        warehouse: Warehouse,
        executors: Mapping[str, Executor],
        check_executor: CheckExecutor,
    ) -> None:
        self.context = context
        self._clock_steps = ClockStepDetector(context.now, context.steady or context.now)
        self.attempt_monitor = AttemptMonitor(context, executors)
        self.advancer = Advancer(context)
        self.launcher = Launcher(context, executors, self.attempt_monitor.close_unprepared)
        self.check_runs = CheckRuns(context, check_executor)
        self.validator = Validator(context, warehouse)
        self.sweeper = Sweeper(context, self.validator)
        self.query_is_due = True
        """Whether the latest turn left something for `validate` to do."""

    def recover(self) -> None:
        """At start: adopt running attempts, and re-evaluate live dates if the pipeline file has changed."""
        self._shift_deadlines_back()
        self.validator.judged.clear()
        self.launcher.restart_evidence()
        self._apply_pipeline_changes()
        self.attempt_monitor.recover()

    def tick(self) -> float | None:
        """Run one pass. Returns the epoch seconds of the next one; None if only an event can cause work.

        They are not later than now where another pass may do more at once, else those of the next retry,
        query or end of a hold. Queries that are due already do not count: the warehouse worker sends them, or
        they are on hold.

        1. If the clock was set: restart job limits and shift deadlines.
        2. Poll the running attempts and check commands; stop those over their limits.
        3. Close attempts and check commands that ended.
        4. Store the verdicts of the latest query.
        5. Release holds that have expired.
        6. Advance due dates through satisfied gates, at most one batch.
        7. Claim check commands that were requested, and attempts of runnable checks, within slots, writers,
           holds and budgets.
        8. Launch their jobs.

        Steps 3 to 7 are one transaction, and none while there is nothing for them: a kill loses nothing, and
        an attempt that ended is closed with all that follows from it. Queries to the warehouse are not part
        of a tick (`validate`).
        """
        if clock_step := self._clock_steps.poll():
            self.attempt_monitor.restart_limits()
            self.launcher.restart_evidence()
            self.validator.judged.clear()  # by the clock as it was; they are queried again
            self._shift_deadlines_back(-clock_step)
        with self.context.db.read() as tx:
            now = self.context.now()
            schedule = wakeup_schedule.engine_schedule(tx, now)
            running = {row.id: row for row in attempts.running(tx)}
            may_check = self.check_runs.can_start(tx)
        # Even with none running: a job whose attempt another leader closed may still run here.
        ended = self.attempt_monitor.poll(running)
        judged = self.validator.judged[0] if self.validator.judged else None
        check_ends = self.check_runs.poll()
        is_due = bool(ended or judged or check_ends) or schedule.is_over(now) or schedule.is_due(now)
        if not (is_due or may_check or schedule.runnable):
            return self._next_pass_at(schedule)
        with self.context.db.write() as tx:
            ends = self.attempt_monitor.close(tx, ended)
            self.check_runs.close(tx, check_ends)
            verdict_events = store_verdicts.store(tx, self.context, judged) if judged else []
            if schedule.is_over(now):
                self._release_expired_holds(tx)
            active_holds = holds.all_holds(tx)
            check_commands = self.check_runs.claim(tx)
            moves = self.advancer.advance(tx, active_holds) if is_due else []
            others = [running[number] for number in running.keys() - {one.row.id for one in ended}]
            checking = {*self.check_runs.running, *(command.pair for command in check_commands)}
            claims, incidents = self.launcher.claim(tx, others, active_holds, checking)
            schedule = wakeup_schedule.engine_schedule(tx, self.context.now())
        if judged:
            self.validator.judged.popleft()  # only now: until they are stored they are not queried again
        self.check_runs.start(check_commands)
        self.attempt_monitor.finish(ends)
        self.context.emit_all([*verdict_events, *moves, *incidents])
        closed = self.launcher.launch(claims)
        may_claim_more = bool(claims) and self.launcher.has_free_slots
        return self._next_pass_at(schedule, at_once=bool(closed or may_claim_more or self.validator.judged))

    def _next_pass_at(self, schedule: EngineSchedule, *, at_once: bool = False) -> float | None:
        self.query_is_due = schedule.query_is_due
        if at_once:
            return self.context.now()
        times = (schedule.wakeup_at, self.launcher.retry_at)
        return min((at for at in times if at is not None), default=None)

    def supervise_standby(self) -> None:
        """In place of a tick, while another daemon leads: supervise the jobs that run on this host."""
        if self._clock_steps.poll():
            self.attempt_monitor.restart_limits()
        self.attempt_monitor.supervise_standby()

    def validate(self) -> bool:
        """Send the queries that are due to the warehouse. Returns whether any check was judged.

        The next tick stores the verdicts.
        """
        return bool(self.validator.run())

    def has_due_query(self) -> bool:
        """Whether a query is due and may be sent, or the hold on queries has expired."""
        now = self.context.now()
        with self.context.db.read() as tx:
            todo = wakeup_schedule.due_queries(tx, now)
            return not holds.in_force(tx, holds.WAREHOUSE, now) if todo.held else todo.wanted

    def has_running_attempts(self) -> bool:
        """Whether jobs are running, so that their time limits must be checked."""
        with self.context.db.read() as tx:
            return bool(attempts.running(tx))

    def recheck(self) -> None:
        """What is due at start and at each `recheck_interval`."""
        self.recheck_calendar()
        self.recheck_missing_upstream()
        self.recheck_failed()
        self.refresh_provisional()

    def recheck_calendar(self) -> None:
        """Read the calendar again for live dates: at start and at `recheck_interval`."""
        self.validator.recheck_calendar()

    def recheck_missing_upstream(self) -> None:
        """Query missing upstream again that no live date will fill: earlier dates, unselected outputs."""
        with self.context.db.read() as tx:
            orphaned = [
                *missing_upstream.orphaned_missing(tx, self.context),
                *unselected_missing(tx, self.context),
                *periods.orphaned(tx, self.context),
            ]
        if orphaned:
            with self.context.db.write() as tx:
                checks.request_check(tx, orphaned, self.context.now())

    def refresh_provisional(self) -> None:
        """Requeue done dates with provisional outputs that are due for a refresh."""
        if not any(processor.refresh for processor in self.context.pipeline.processors.values()):
            return
        with self.context.db.write() as tx:
            moves = scheduled_refreshes.requeue_refreshes(tx, self.context)
        self.context.emit_all(moves)

    def recheck_failed(self) -> None:
        """Query again what failed dates lack, where they are due."""
        with self.context.db.write() as tx:
            failed_date_auto_recovery.recheck(tx, self.context)

    def _release_expired_holds(self, tx: Transaction) -> None:
        now = self.context.now()
        for hold in holds.release_expired(tx, now):
            if hold.kind in ("processor", "table"):
                dates.make_waiting_due(tx, WaitReason.HELD, now)

    def _shift_deadlines_back(self, seconds: float = 0.0) -> None:
        """Move deadlines earlier by the seconds the clock was set back, or by the skew in the database."""
        now = self.context.now()
        with self.context.db.read() as tx:
            skew = max(seconds, clock_set_back.skew_seconds(tx, now))
        if skew > STEP_SECONDS:
            with self.context.db.write() as tx:
                clock_set_back.shift_back(tx, now, skew)
                dates.make_waiting_due(tx, WaitReason.WINDOW, now)  # it may be open by the clock as it is now
            text = f"the clock is {skew:.0f} s behind recorded times; deadlines were moved earlier by as much"
            self.context.emit(Incident(kind="clock", text=text))

    def _apply_pipeline_changes(self) -> None:
        """Query and re-evaluate all live dates if the pipeline file or the program version has changed.

        What is known of a table that a processor no longer writes is forgotten: it counts for the new one
        neither as a verdict nor as an attempt, and what is forced runs for the new one too.
        Dates in a state that the file no longer brings them to go back to `pending`.
        """
        now = self.context.now()
        with self.context.db.write() as tx:
            pipeline = self.context.pipeline
            if not pipeline_fingerprint.record(tx, pipeline.name, __version__, pipeline.fingerprint):
                return
            processors = pipeline.processors
            checks.clear_all_runnable(tx)
            tables = {name: processor.table for name, processor in processors.items()}
            of_other_tables = reset_checks.reset_other_tables(tx, tables, now)
            checks.set_mode(tx, still_forced(tx, of_other_tables), RunMode.FORCE)
            reset_checks.request_live(tx, processors, now)
            dates.make_due(tx, now)
            self._release_removed(tx)
            events = apply_pipeline_changes(tx, self.context)
            misplaced = self._misplaced_dates(tx)
            moves = [readmit(tx, self.context, row, reason) for row, reason in misplaced]
        self.context.emit_all([*events, *moves])

    def _release_removed(self, tx: Transaction) -> None:
        """Release the daemon's holds of processors that the pipeline file no longer has."""
        for hold in holds.all_holds(tx):
            removed = hold.kind == "processor" and hold.key not in self.context.pipeline.processors
            if removed and hold.actor == ACTOR:
                holds.release(tx, hold.kind, hold.key)
                circuit_breaker.reset(tx, hold.key)

    def _misplaced_dates(self, tx: Transaction) -> list[tuple[DateRow, str]]:
        """Dates in states that today's pipeline file would not have brought them to, and why."""
        unknown = dates.in_unknown_states(tx, self.context.machine.states)
        misplaced = [(row, f"the pipeline file no longer has the state {row.state}") for row in unknown]
        earlier_processors: list[str] = []
        for stage in self.context.pipeline.stages:
            rows = dates.out_of_place(tx, stage.name, earlier_processors, self.context.pipeline.processors)
            reason = f"the pipeline file changed: an output of or before {stage.name} is missing"
            misplaced += [(row, reason) for row in rows]
            earlier_processors += [p.name for p in stage.processors]
        return misplaced
