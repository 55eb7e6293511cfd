"""The daemon's threads, in order: started after recovery, stopped so that nothing is lost.

Two workers call the engine's duties, one to move dates and one to ask the warehouse. APScheduler holds
ticks and alarms, never dates; an event wakes the workers at once.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Mapping

from apscheduler.events import EVENT_JOB_ERROR, JobExecutionEvent
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from backfilld.daemon import logs
from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.backups import Backups, refuse_empty_database
from backfilld.daemon.clock_steps import ClockMonitor, ClockStepDetector
from backfilld.daemon.engine.budgets import BytesLedger
from backfilld.daemon.engine.commands import Commands
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.engine import Engine
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.engine.sweep import TICK_SECONDS
from backfilld.daemon.events import Event, EventSink, Incident
from backfilld.daemon.executors.registry import open_executors
from backfilld.daemon.leadership import Leadership
from backfilld.daemon.settings import Settings, prepare
from backfilld.daemon.systemd import Manager
from backfilld.daemon.warehouses.adapter import DescribedWarehouse, Purpose, noop
from backfilld.daemon.warehouses.registry import open_warehouse
from backfilld.daemon.worker import Worker
from backfilld.state.pipeline.models import Pipeline
from backfilld.state.rules.machine import Machine
from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable
from backfilld.state.store.lock import Holder, open_lock

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
"""How often time limits of running jobs are looked at."""
BACKUP_LOOK_SECONDS = 60.0
"""How often the age of the latest backup is looked at."""


class Service:
    """One pipeline's daemon, without its API."""

    def __init__(
        self,
        settings: Settings,
        *,
        tell: EventSink = lambda event: None,
        on_query: Callable[[Purpose, int], None] = noop,
        on_error: Callable[[], None] = noop,
        warehouse: DescribedWarehouse | None = None,
        manager: Manager | None = None,
    ) -> None:
        """Open everything; nothing moves before `start`. `warehouse` replaces the pipeline file's.

        `manager` is fed by the engine's loop.

        Raises:
            PipelineError: the pipeline file cannot be used.
            DatabaseUnusable: the state database cannot be used.
            InUse: another daemon serves the state directory.
            SettingsError: the state directory or its logs cannot be used, or an executor lacks its package.
        """
        self.settings = settings
        self.pipeline: Pipeline = load_pipeline(settings.pipeline)
        self.db = Database(settings.database_url)
        prepare(settings.state_dir, with_file=self.db.sqlite)
        self._lock = open_lock(self.db, Holder.me(since=time.time(), listen=settings.listen))
        self.db.fence(self._lock.check)
        self._leadership = Leadership(self._lock, self._open_state)
        self._leadership.look()
        self._taken_up = 0
        self.backups = Backups(self.db, now=time.time) if self.db.sqlite else None
        self.warehouse = warehouse or open_warehouse(
            self.pipeline, on_query=on_query, on_error=on_error, ledger=BytesLedger(self.db)
        )
        watched = manager or Manager({})
        self._mover = Worker(
            "engine", self._turn, done=self._set_alarm, on_iteration=watched.beat, nap=watched.beat_seconds
        )
        self._asker = Worker("warehouse", self._validate)
        log_folder = settings.state_dir / logs.FOLDER
        self.executors = open_executors(self.pipeline, log_folder, on_end=self._mover.wake)
        self._listeners = [tell]
        self.context = EngineContext(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=settings.state_dir,
            now=time.time,
            steady=time.monotonic,
            emit=self._emit,
        )
        self.engine = Engine(self.context, self.warehouse, self.executors)
        self.validator = self.engine.validator
        self.commands = Commands(self.context)
        self.enqueuer = Enqueuer(self.context, self.validator)
        self.ready = False
        self._scheduler = _scheduler()
        self._clock = ClockMonitor(ClockStepDetector(time.time, time.monotonic), self._clock_leapt)

    def _open_state(self) -> None:
        """As the leader: make sure that the database is the one to go on with, and of this version."""
        refuse_empty_database(self.db, self.settings.state_dir)
        self.db.verify()
        self.db.upgrade()

    def start(self) -> None:
        """Recover, then let things move; or stand by."""
        self._leads()
        self._scheduler.start()
        self._scheduler.add_job(self._watch, "interval", seconds=WATCH_SECONDS, id="watch")
        recheck = self.pipeline.engine.recheck_interval
        self._scheduler.add_job(self._recheck, "interval", seconds=recheck, id="recheck")
        if self.pipeline.engine.revalidate_within:
            self._scheduler.add_job(self._sweep, "interval", seconds=TICK_SECONDS, id="sweep")
        if self.pipeline.engine.log_retention:
            self._scheduler.add_job(self._forget_logs, "interval", seconds=logs.LOOK_SECONDS, id="logs")
        if self.settings.backup_every and self.db.sqlite:
            look = min(BACKUP_LOOK_SECONDS, self.settings.backup_every)
            self._scheduler.add_job(self._back_up, "interval", seconds=look, id="backup")
        self._clock.start()
        self._mover.start()
        self._asker.start()
        self.ready = True

    def stop(self, timeout: float = 30.0) -> bool:
        """Start nothing more and end what is under way; jobs live on and are adopted at the next start.

        Returns whether everything ended within `timeout` seconds. What did not may still write, so the lock
        then stays until the process ends.
        """
        self.ready = False
        self._clock.stop()
        ticks = threading.Thread(target=self._scheduler.shutdown, name="ticks", daemon=True)
        ticks.start()  # ends with the last tick under way
        for worker in (self._mover, self._asker):
            worker.stop()
        ended = [worker.join(timeout) for worker in (self._mover, self._asker)]
        ticks.join(timeout)
        ended.append(not ticks.is_alive())
        for executor in self.executors.values():
            executor.close()
        self.warehouse.close()
        self.db.close()
        if all(ended):
            self._lock.release()
        return all(ended)

    def wake(self) -> None:
        """Something happened: look now."""
        self._mover.wake()
        self._asker.wake()

    def listen(self, tell: EventSink) -> None:
        """Have every event told to one more listener."""
        self._listeners.append(tell)

    def health(self) -> Mapping[str, str]:
        """By check: empty, or what is wrong."""
        return {
            "started": "" if self.ready else "not started, or stopping",
            "engine": self._mover.fault or ("a turn does not come back" if self._mover.stalled else ""),
            "warehouse": self._asker.fault,
        } | ({"standby": self.standby} if self.standby else {})

    @property
    def standby(self) -> str:
        """Which daemon leads, while this one stands by; else empty."""
        return self._leadership.standby

    @property
    def last_backup_at(self) -> float | None:
        """When the latest backup was made, in epoch seconds; None without any, and of PostgreSQL."""
        return self.backups.latest_at if self.backups else None

    @property
    def alive(self) -> bool:
        """Whether the engine's loop comes round."""
        return not self._mover.stalled

    def _emit(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def _leads(self) -> bool:
        """Whether this daemon moves things; when it has just become the leader, it takes up what was running.

        Of the threads the engine's alone asks; the others go by what it found.
        """
        if not self._leadership.look():
            return False
        if self._taken_up != self._leadership.term:
            self.engine.recover()
            self._taken_up = self._leadership.term
            self._asker.wake()
        return True

    @property
    def _moving(self) -> bool:
        return not self.standby and self._taken_up == self._leadership.term

    def _turn(self) -> bool:
        if not self._leads():
            self.engine.supervise_standby()
            return False
        moved = self.engine.tick()
        if moved:
            self._asker.wake()
        return moved

    def _validate(self) -> bool:
        if not self._moving:
            return False
        learnt = self.engine.validate()
        if learnt:
            self._mover.wake()
        return learnt

    def _watch(self) -> None:
        """The tick: looks at the lead that may change hands, at limits of jobs, at questions that wait."""
        if not self.db.sqlite or self.engine.has_running_attempts():
            self._mover.wake()
        if self._moving and self.engine.has_due_query():
            self._asker.wake()

    def _recheck(self) -> None:
        if self._moving:
            self.engine.recheck_missing_upstream()

    def _sweep(self) -> None:
        if self._moving and self.engine.sweeper.run():
            self.wake()

    def _clock_leapt(self, seconds: float) -> None:
        """The clock was set. Ticks are planned by it: after a step back they would all be late by as much."""
        way = "forward" if seconds > 0 else "back"
        log.warning("the clock was set %s by %.0f s: limits of running jobs count anew", way, abs(seconds))
        for job in self._scheduler.get_jobs():
            with contextlib.suppress(JobLookupError):  # the alarm, which went off or was set anew meanwhile
                job.modify(next_run_time=dt.datetime.now(dt.UTC))
        self.wake()

    def _back_up(self) -> None:
        """The tick: copies the database once the latest copy is old enough."""
        if self.backups is None or not self.backups.due(self.settings.backup_every):
            return
        try:
            log.info("backup: %s", self.backups.take())
            self.backups.prune(self.settings.backup_keep)
        except (DatabaseUnavailable, OSError) as error:
            self._emit(Incident(kind="backup", text=str(error)))

    def _forget_logs(self) -> None:
        """The tick: removes the logs that are old enough."""
        if gone := logs.prune(self.context):
            log.info("removed the logs of %d attempts", gone)

    def _set_alarm(self) -> None:
        """Wake when the next retry, question or end of a hold is due."""
        at = self.engine.next_wakeup() if self._moving else None
        if at is None:
            with contextlib.suppress(JobLookupError):
                self._scheduler.remove_job("alarm")
            return
        when = dt.datetime.fromtimestamp(max(at, time.time()), dt.UTC)
        self._scheduler.add_job(self.wake, "date", run_date=when, id="alarm", replace_existing=True)


def _scheduler() -> BackgroundScheduler:
    """In UTC and in memory; a late tick is run late, never dropped, and never twice at once."""
    scheduler = BackgroundScheduler(
        timezone=dt.UTC,
        executors={"default": ThreadPoolExecutor(2)},
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    scheduler.add_listener(_report, EVENT_JOB_ERROR)
    return scheduler


def _report(event: JobExecutionEvent) -> None:
    if not isinstance(event.exception, DatabaseUnavailable):  # the workers tell of that
        log.error("the tick %s failed: %s", event.job_id, event.exception)
