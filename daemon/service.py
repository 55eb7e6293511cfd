"""The daemon without its API: opens its parts, starts its threads after recovery and stops them in order.

Two workers run the engine: the engine worker moves dates, the warehouse worker sends queries. APScheduler
runs periodic jobs, and knows nothing of dates. Events wake the workers at once, and each turn of the engine
wakes the warehouse worker.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Mapping

from apscheduler.jobstores.base import JobLookupError

from backfilld.daemon import database_watch, log_retention
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.background_scheduler import new_scheduler
from backfilld.daemon.backups import Backups, refuse_empty_database
from backfilld.daemon.clock_steps import ClockMonitor, ClockStepDetector
from backfilld.daemon.database_watch import DatabaseWatch
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.daily_budgets import BytesLedger
from backfilld.daemon.engine.engine import Engine
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.engine.operator_commands import Commands
from backfilld.daemon.engine.revalidation import TICK_SECONDS
from backfilld.daemon.event_types import Event, EventSink, Incident
from backfilld.daemon.executors.local.check_command_runner import CheckProcesses
from backfilld.daemon.executors.open_executors import open_executors
from backfilld.daemon.leadership import Leadership
from backfilld.daemon.settings import Settings, prepare
from backfilld.daemon.systemd import Manager
from backfilld.daemon.wakeable_task_thread import Worker
from backfilld.daemon.warehouses.adapter import DescribedWarehouse, Purpose, noop
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.state_machine import Machine
from backfilld.state.store import pipeline_fingerprint
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable
from backfilld.state.store.leader_election import Holder, open_lock

log = logging.getLogger(__name__)

TIMER_SECONDS = 1.0
"""How often the time limits of running jobs are checked."""
LATE_TIMERS_SECONDS = 60.0
"""Periodic jobs that have not run for this long count as dead."""
STOP_SECONDS = 20.0
"""How long a stop waits for the threads: Kubernetes kills a container 30 s after its signal, by default."""
BACKUP_CHECK_SECONDS = 60.0
"""How often the age of the latest backup is checked."""


class Service:
    """One pipeline's daemon, without its API."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_event: EventSink = lambda event: None,
        on_query: Callable[[Purpose, int], None] = noop,
        on_error: Callable[[], None] = noop,
        warehouse: DescribedWarehouse | None = None,
        manager: Manager | None = None,
    ) -> None:
        """Open everything; nothing moves before `start`. `warehouse` replaces the pipeline file's.

        The engine worker feeds the watchdog of `manager`.

        Raises:
            PipelineError: the pipeline file cannot be used.
            DatabaseUnavailable: the state database cannot be used.
            AlreadyRunning: another daemon serves the state directory.
            OtherPipeline: the state database belongs to another pipeline.
            SettingsError: the state directory or its logs cannot be used, or an executor lacks its package.
        """
        self.settings = settings
        self.pipeline: Pipeline = load_pipeline(settings.pipeline)
        self.db = Database(settings.database_url)
        prepare(settings.state_dir, with_file=self.db.sqlite)
        self._lock = open_lock(self.db, Holder.me(since=time.time(), listen=settings.listen))
        self.db.fence(self._lock.check)
        self._leadership = Leadership(self._lock, self._open_state)
        self._lead_or_stand_by()
        self._recovered_term = 0
        self.backups = Backups(self.db, now=time.time) if self.db.sqlite else None
        self.warehouse = warehouse or open_warehouse(
            self.pipeline, on_query=on_query, on_error=on_error, ledger=BytesLedger(self.db)
        )
        self._engine_worker = self._new_engine_worker(manager or Manager({}))
        self._warehouse_worker = Worker("warehouse", self._validate)
        log_folder = settings.state_dir / log_retention.FOLDER
        self.executors = open_executors(self.pipeline, log_folder, on_end=self._engine_worker.wake)
        self._subscribers = [on_event]
        self.context = EngineContext(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=settings.state_dir,
            now=time.time,
            steady=time.monotonic,
            service=manager.unit if manager else "",
            emit=self._emit,
        )
        self._check_processes = CheckProcesses(settings.state_dir, on_end=self._engine_worker.wake)
        self.engine = Engine(self.context, self.warehouse, self.executors, self._check_processes)
        self.commands = Commands(self.context)
        self.enqueuer = Enqueuer(self.context, self.engine.validator)
        self.ready = False
        self._is_intact = True
        """Whether the database was intact at the start, and at each backup since."""
        self._stopping = self._ended = False
        self._timers_checked_at = time.monotonic()
        self._scheduler = new_scheduler()
        self._clock = ClockMonitor(ClockStepDetector(time.time, time.monotonic), self._on_clock_step)

    def _new_engine_worker(self, manager: Manager) -> Worker:
        """The worker that ticks, and feeds the watchdog after each tick."""
        return Worker(
            "engine",
            self._tick,
            on_iteration=manager.beat,
            poll_interval=manager.beat_seconds,
        )

    def _lead_or_stand_by(self) -> None:
        """Acquire leadership if it is free. After a refusal nothing stays open."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.db.close)
            undo.callback(self._lock.release)
            self._leadership.ensure_leader()
            self._refuse_other_pipeline()
            undo.pop_all()

    def _open_state(self) -> None:
        """As the new leader: check that the database is intact and not lost, and migrate it.

        What is damaged while a daemon runs is found before its next backup, so a checksum says enough.
        """
        refuse_empty_database(self.db, self.settings.state_dir)
        self.db.open(trusting_checksum=self.settings.backup_every > 0)
        self._refuse_other_pipeline()

    def _refuse_other_pipeline(self) -> None:
        """Refuse a database with another pipeline's state, also as a standby. Raises OtherPipeline."""
        if not self.db.empty:
            with self.db.read() as tx:
                pipeline_fingerprint.refuse_other(tx, self.pipeline.name, self.db.name)

    def start(self) -> None:
        """Recover and start all threads, or stand by for the daemon that leads."""
        self._ensure_leader()
        self._scheduler.start()
        self._scheduler.add_job(self._check_timers, "interval", seconds=TIMER_SECONDS, id="timers")
        recheck = self.pipeline.engine.recheck_interval
        now = dt.datetime.now(dt.UTC)
        self._scheduler.add_job(self._recheck, "interval", seconds=recheck, id="recheck", next_run_time=now)
        workers = self._engine_worker, self._warehouse_worker
        watch = DatabaseWatch(self.db, lambda: {worker.last_error for worker in workers})
        self._scheduler.add_job(watch.check, "interval", seconds=database_watch.CHECK_SECONDS, id="database")
        if self.pipeline.engine.revalidate_within:
            self._scheduler.add_job(self._sweep, "interval", seconds=TICK_SECONDS, id="sweep")
        if retention := self.pipeline.engine.log_retention:
            # Also at the start: a daemon that is restarted within the hour would remove none.
            often = log_retention.check_interval(retention)
            self._scheduler.add_job(self._prune_logs, "interval", seconds=often, id="logs", next_run_time=now)
        if self.settings.backup_every and self.db.sqlite:
            pace = min(BACKUP_CHECK_SECONDS, self.settings.backup_every)
            self._scheduler.add_job(self._back_up, "interval", seconds=pace, id="backup")
        self._clock.start()
        self._engine_worker.start()
        self._warehouse_worker.start()
        self.db.lost_file()
        self.ready = True

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """Stop all threads and close everything. Jobs go on, to be adopted; check commands are killed.

        Returns whether every thread ended within `timeout` seconds.
        """
        self.ready = False
        ended = self.stop_workers(timeout)
        self.close()
        return ended

    def stop_workers(self, timeout: float = STOP_SECONDS) -> bool:
        """Stop all threads. The API can still read, and commands are recorded for the next start.

        Returns whether every thread ended within `timeout` seconds. A thread that did not may still write, so
        the lock is then kept until the process ends.
        """
        self._stopping = True
        self._clock.stop()
        shutdown = threading.Thread(target=self._scheduler.shutdown, name="ticks", daemon=True)
        shutdown.start()  # ends with the periodic job that is running
        for worker in (self._engine_worker, self._warehouse_worker):
            worker.stop()
        until = time.monotonic() + timeout
        for thread in (self._engine_worker, self._warehouse_worker, shutdown):
            thread.join(max(0.0, until - time.monotonic()))
        ended = [worker.join(0) for worker in (self._engine_worker, self._warehouse_worker)]
        self._ended = all(ended) and not shutdown.is_alive()
        return self._ended

    def close(self) -> None:
        """Close what the stopped threads used, and release the lock."""
        for executor in self.executors.values():
            executor.close()
        self._check_processes.close()
        self.warehouse.close()
        is_intact = self._is_intact and not self.db.lost_file()
        self.db.close()
        if self._ended:
            if is_intact:
                self.db.record_checksum()
            self._lock.release()

    def wake(self) -> None:
        """Run both workers now: something has happened."""
        self._engine_worker.wake()
        self._warehouse_worker.wake()

    def subscribe(self, on_event: EventSink) -> None:
        """Call `on_event` with every event from now on."""
        self._subscribers.append(on_event)

    def health(self) -> Mapping[str, str]:
        """By health check: what is wrong, empty if nothing is."""
        return {
            "started": "" if self.ready else "not started, or stopping",
            "engine": "" if self._stopping else self._engine_worker.problem,
            "warehouse": "" if self._stopping else self._warehouse_worker.problem,
            "timers": self._timers_problem(),
            "database": self.db.lost_file() or self.db.failed_write,
            **{f"executor {name}": executor.fault for name, executor in self.executors.items()},
        } | ({"standby": self.standby} if self.standby else {})

    def _timers_problem(self) -> str:
        """Whether periodic jobs run: without a thread or memory for them, nothing else would show it."""
        late = time.monotonic() - self._timers_checked_at
        if not self.ready or late < LATE_TIMERS_SECONDS:
            return ""
        return (
            f"no periodic job has run for {late:.0f} s: restart the daemon, and check its memory and threads"
        )

    @property
    def standby(self) -> str:
        """The daemon that leads while this one stands by; empty while this one leads."""
        return self._leadership.standby

    @property
    def last_backup_at(self) -> float | None:
        """When the latest backup was made, in epoch seconds; None without one, and with PostgreSQL."""
        return self.backups.latest_at if self.backups else None

    @property
    def alive(self) -> bool:
        """Whether the engine loop is alive."""
        return not self._engine_worker.stalled

    def _emit(self, event: Event) -> None:
        for subscriber in self._subscribers:
            subscriber(event)

    def _ensure_leader(self) -> bool:
        """Whether this daemon leads. When it has just become the leader, it recovers first.

        Only the engine worker calls this; other threads read the result (`_is_active_leader`).
        """
        if not self._leadership.ensure_leader():
            return False
        if self._recovered_term != self._leadership.term:
            self.engine.recover()
            self._recovered_term = self._leadership.term
            self._warehouse_worker.wake()
        return True

    @property
    def _is_active_leader(self) -> bool:
        return not self.standby and self._recovered_term == self._leadership.term

    def _tick(self) -> float | None:
        if not self._ensure_leader():
            self.engine.supervise_standby()
            return None
        next_pass_at = self.engine.tick()
        if self.engine.query_is_due:
            self._warehouse_worker.wake()
        return None if next_pass_at is None else next_pass_at - time.time()

    def _validate(self) -> float | None:
        if not (self._is_active_leader and self.engine.validate()):
            return None
        self._engine_worker.wake()
        return 0.0

    def _check_timers(self) -> None:
        """Wake the engine worker for job limits and leadership, and the warehouse worker for due queries."""
        self._timers_checked_at = time.monotonic()
        if not self.db.sqlite or self.engine.has_running_attempts():
            self._engine_worker.wake()
        if self._is_active_leader and self.engine.has_due_query():
            self._warehouse_worker.wake()

    def _recheck(self) -> None:
        if self._is_active_leader:
            self.engine.recheck()
            self.wake()

    def _sweep(self) -> None:
        if self._is_active_leader and self.engine.sweeper.run():
            self.wake()

    def _on_clock_step(self, seconds: float) -> None:
        """Reschedule all periodic jobs: after a step back they would all be late by as much."""
        way = "forward" if seconds > 0 else "back"
        log.warning(
            "the clock was set %s by %.0f s: limits of running jobs count from now", way, abs(seconds)
        )
        for job in self._scheduler.get_jobs():
            with contextlib.suppress(JobLookupError):  # the scheduler was shut down meanwhile
                job.modify(next_run_time=dt.datetime.now(dt.UTC))
        self.wake()

    def _back_up(self) -> None:
        """Back up the database if the latest backup is old enough."""
        if self.backups is None or not self.backups.is_due(self.settings.backup_every):
            return
        try:
            self._is_intact = False  # also while a stop interrupts the check
            self.db.verify()
            self._is_intact = True
            log.info("backup: %s", self.backups.create())
            self.backups.prune(self.settings.backup_keep)
        except (DatabaseUnavailable, OSError) as error:
            self._emit(Incident(kind="backup", text=str(error)))

    def _prune_logs(self) -> None:
        """Remove logs older than `log_retention`."""
        if pruned := log_retention.prune(self.context):
            log.info("removed the logs of %d attempts", pruned)
