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

from daemon import logs
from daemon.backups import Backups, refuse_to_forget
from daemon.budgets import BytesLedger
from daemon.clock import ClockWatch, Leaps
from daemon.config import Settings, prepare
from daemon.control import Control
from daemon.core import Core
from daemon.engine import Engine
from daemon.enqueue import Enqueuer
from daemon.events import Event, Tell, Trouble
from daemon.executors.local import Local
from daemon.sweep import TICK_SECONDS
from daemon.systemd import Manager
from daemon.warehouse.factory import open_warehouse
from daemon.warehouse.inquiry import Inquiry
from state.machine import Machine
from state.pipeline import Pipeline
from state.pipeline_file import load
from state.store.database import Database
from state.store.faults import DatabaseUnusable
from state.store.lock import DaemonLock, Holder

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
"""How often time limits of running jobs are looked at."""
FAULT_PAUSE_SECONDS = 5.0
"""How long a worker rests after an unforeseen error, so that a lasting fault does not become a busy loop."""
BACKUP_LOOK_SECONDS = 60.0
"""How often the age of the latest backup is looked at."""
STALL_SECONDS = 120.0
"""A turn that lasts longer than this counts as stuck."""


class _Worker:
    """A thread that calls a duty whenever it is woken, and again while the duty finds something to do.

    It also wakes by itself after `nap` seconds. `came_round` is called after each turn, a failed one too.
    """

    def __init__(
        self,
        name: str,
        duty: Callable[[], bool],
        *,
        done: Callable[[], None] = lambda: None,
        came_round: Callable[[], None] = lambda: None,
        nap: float | None = None,
    ) -> None:
        self._duty = duty
        self._done = done
        self._came_round = came_round
        self._nap = nap
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.busy_since: float | None = None
        self.fault = ""

    def start(self) -> None:
        self._thread.start()
        self.wake()

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()

    def join(self, timeout: float) -> bool:
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._woken.wait(self._nap)
            self._woken.clear()
            while not self._stopping.is_set() and self._once():
                pass

    def _once(self) -> bool:
        self.busy_since = time.monotonic()
        try:
            again = self._duty()
            if not again:
                self._done()
            if self.fault:
                log.info("the %s worker goes on", self._thread.name)
            self.fault = ""
        except DatabaseUnusable as error:
            if self.fault != str(error):  # once, however long it lasts
                log.error("the %s worker waits: %s", self._thread.name, error)
            again = self._rest(str(error))
        except Exception as error:
            log.exception("the %s worker met an error", self._thread.name)
            again = self._rest(f"{type(error).__name__}: {error}")
        self.busy_since = None
        self._came_round()
        return again

    def _rest(self, fault: str) -> bool:
        """Try again in a while: whatever was under way is found again in the database."""
        self.fault = fault
        self._stopping.wait(FAULT_PAUSE_SECONDS)
        return True

    @property
    def stalled(self) -> bool:
        """Whether its duty has not come back for long."""
        since = self.busy_since
        return since is not None and time.monotonic() - since > STALL_SECONDS


class Service:
    """One pipeline's daemon, without its API."""

    def __init__(
        self,
        settings: Settings,
        *,
        tell: Tell = lambda event: None,
        on_query: Callable[[str, int], None] = lambda purpose, billed: None,
        on_error: Callable[[], None] = lambda: None,
        warehouse: Inquiry | None = None,
        manager: Manager | None = None,
    ) -> None:
        """Open everything; nothing moves before `start`. `warehouse` replaces the pipeline file's.

        `manager` is fed by the engine's loop.

        Raises:
            PipelineError: the pipeline file cannot be used.
            DatabaseUnusable: the state database cannot be used.
            InUse: another daemon serves the state directory.
            SettingsError: the state directory cannot be used.
        """
        self.settings = settings
        self.pipeline: Pipeline = load(settings.pipeline)
        prepare(settings.state_dir)
        self.db = Database(settings.database_url)
        self._lock = DaemonLock(self.db, Holder.me(since=time.time(), listen=settings.listen))
        refuse_to_forget(self.db)
        self.db.verify()
        self.db.upgrade()
        self.backups = Backups(self.db, now=time.time)
        self.warehouse = warehouse or open_warehouse(
            self.pipeline, on_query=on_query, on_error=on_error, ledger=BytesLedger(self.db)
        )
        self.executors = {"local": Local(settings.state_dir / logs.FOLDER, on_end=self.wake)}
        self._listeners = [tell]
        self.core = Core(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=settings.state_dir,
            now=time.time,
            steady=time.monotonic,
            tell=self._tell,
        )
        self.engine = Engine(self.core, self.warehouse, self.executors)
        self.validator = self.engine.validator
        self.control = Control(self.core)
        self.enqueuer = Enqueuer(self.core, self.validator)
        self.ready = False
        watched = manager or Manager({})
        self._mover = _Worker(
            "engine", self._turn, done=self._set_alarm, came_round=watched.beat, nap=watched.beat_seconds
        )
        self._asker = _Worker("warehouse", self._validate)
        self._scheduler = _scheduler()
        self._clock = ClockWatch(Leaps(time.time, time.monotonic), self._clock_leapt)

    def start(self) -> None:
        """Recover, then let things move."""
        self.engine.recover()
        self._scheduler.start()
        self._scheduler.add_job(self._watch, "interval", seconds=WATCH_SECONDS, id="watch")
        recheck = self.pipeline.engine.recheck
        self._scheduler.add_job(self.engine.recheck_holes, "interval", seconds=recheck, id="recheck")
        if self.pipeline.engine.sweep:
            self._scheduler.add_job(self.engine.sweeper.run, "interval", seconds=TICK_SECONDS, id="sweep")
        if self.pipeline.engine.keep_logs:
            self._scheduler.add_job(self._forget_logs, "interval", seconds=logs.LOOK_SECONDS, id="logs")
        if self.settings.backup_every:
            look = min(BACKUP_LOOK_SECONDS, self.settings.backup_every)
            self._scheduler.add_job(self._back_up, "interval", seconds=look, id="backup")
        self._clock.start()
        self._mover.start()
        self._asker.start()
        self.ready = True

    def stop(self, timeout: float = 30.0) -> bool:
        """Start nothing more and end what is under way; jobs live on and are adopted at the next start.

        Returns whether everything ended within `timeout` seconds.
        """
        self.ready = False
        self._clock.stop()
        self._scheduler.shutdown(wait=False)
        for worker in (self._mover, self._asker):
            worker.stop()
        ended = [worker.join(timeout) for worker in (self._mover, self._asker)]
        for executor in self.executors.values():
            executor.close()
        self.warehouse.close()
        self.db.close()
        self._lock.release()
        return all(ended)

    def wake(self) -> None:
        """Something happened: look now."""
        self._mover.wake()
        self._asker.wake()

    def listen(self, tell: Tell) -> None:
        """Have every event told to one more listener."""
        self._listeners.append(tell)

    def health(self) -> Mapping[str, str]:
        """By check: empty, or what is wrong."""
        return {
            "started": "" if self.ready else "not started, or stopping",
            "engine": self._mover.fault or ("a turn does not come back" if self._mover.stalled else ""),
            "warehouse": self._asker.fault,
        }

    @property
    def last_backup_at(self) -> float | None:
        """When the latest backup was made, in epoch seconds; None without any."""
        return self.backups.latest_at

    @property
    def alive(self) -> bool:
        """Whether the engine's loop comes round."""
        return not self._mover.stalled

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)

    def _turn(self) -> bool:
        moved = self.engine.turn()
        if moved:
            self._asker.wake()
        return moved

    def _validate(self) -> bool:
        learnt = self.engine.validate()
        if learnt:
            self._mover.wake()
        return learnt

    def _watch(self) -> None:
        """The tick: looks at time limits while jobs run, and at a question that slipped by."""
        if self.engine.watches_attempts():
            self._mover.wake()
        if self.engine.has_question():
            self._asker.wake()

    def _clock_leapt(self, seconds: float) -> None:
        """The clock was set. Ticks are planned by it: after a step back they would all be late by as much."""
        way = "forward" if seconds > 0 else "back"
        log.warning("the clock was set %s by %.0f s: limits of running jobs count anew", way, abs(seconds))
        for job in self._scheduler.get_jobs():
            job.modify(next_run_time=dt.datetime.now(dt.UTC))
        self.wake()

    def _back_up(self) -> None:
        """The tick: copies the database once the latest copy is old enough."""
        if not self.backups.due(self.settings.backup_every):
            return
        try:
            log.info("backup: %s", self.backups.take())
            self.backups.prune(self.settings.backup_keep)
        except DatabaseUnusable as error:
            self._tell(Trouble(kind="backup", text=str(error)))

    def _forget_logs(self) -> None:
        """The tick: removes the logs that are old enough."""
        if gone := logs.forget_old(self.core):
            log.info("removed the logs of %d attempts", gone)

    def _set_alarm(self) -> None:
        """Wake when the next retry, question or end of a hold is due."""
        at = self.engine.next_alarm()
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
    if not isinstance(event.exception, DatabaseUnusable):  # the workers tell of that
        log.error("the tick %s failed: %s", event.job_id, event.exception)
