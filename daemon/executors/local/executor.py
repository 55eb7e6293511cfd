"""Runs jobs as processes of this host. They outlive the daemon, and the next daemon adopts them."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

from backfilld.daemon.container_init import in_container, reap_orphans
from backfilld.daemon.executors.adapter import Handle, Job, JobResult, JobStatus, RecordHandles
from backfilld.daemon.executors.attempt_files import FileLog, OpenLog, attempt_file
from backfilld.daemon.executors.local import launcher
from backfilld.daemon.executors.local.descendant_processes import Marks, ProcessFinder, processes, run_token
from backfilld.daemon.executors.local.exit_notifier import ExitNotifier
from backfilld.daemon.executors.local.out_of_memory import OutOfMemoryKills
from backfilld.daemon.executors.local.recovery import (
    exit_file,
    keep_left_running,
    locate,
    lock_directory,
    open_log,
    take_left_running,
)
from backfilld.daemon.executors.local.running_attempt import LocalAttempt
from backfilld.daemon.executors.process_identity import (
    Identity,
    ended,
    executor_id,
    exists,
    reap,
    same_group,
    signal_group,
)
from backfilld.daemon.host_shortage import PAUSE_SECONDS, Shortage

_KILL_ROUNDS = 20
_KILL_ROUND_SECONDS = 0.001
_RETRY_SECONDS = 0.1


class LocalExecutor:
    """Runs each job in a session of its own, with its log and its exit file under `root`.

    A job has ended only when all its processes have, including those that left its session: the limit of
    writers per table depends on it. An attempt on another host or in another container is reported as
    unreachable. A log of more than `max_log_bytes` loses its middle. `on_end` is called in another thread,
    must return at once and must not raise. An attempt of another directory on this host belongs to the
    executor there while there is one, else to this one. Raises OSError when `root` cannot be written.
    """

    fault = ""

    def __init__(
        self,
        root: Path,
        *,
        on_end: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
        max_log_bytes: int = 10**9,
    ) -> None:
        self._root = _writable(root)
        self._on_end = on_end
        self._now = now
        self._max_log_bytes = max_log_bytes
        self._executor_id = executor_id(self._root)
        self._directory = lock_directory(self._root)
        self._allowed_variables = launcher.allowed_variables()
        self._left_running = take_left_running(self._root)
        self._finder = ProcessFinder()
        self._shortage = Shortage()
        self._memory_kills = OutOfMemoryKills.of_this_host()
        self._lock = threading.Lock()
        self._running: dict[int, LocalAttempt] = {}
        self._ended: list[JobStatus] = []
        self._ended_logs: dict[int, OpenLog] = {}
        self._notifier = ExitNotifier(self._on_wakeup)

    @property
    def unavailable_reason(self) -> str:
        """What this host lacks, for some seconds after a job could not start for want of it."""
        return self._shortage.reason

    def log(self, attempt: int) -> FileLog:
        """The attempt's stdout and stderr, in one file.

        Until `poll` is called again after its end, it is read by its descriptor, wherever its path leads.
        """
        run = self._running.get(attempt)
        source = run.log if run is not None else self._ended_logs.get(attempt)
        return FileLog(self._file(attempt, "log"), source)

    def launch(self, jobs: Sequence[Job], record: RecordHandles) -> None:
        """Start every job's wrapper, `record` all handles in one call, then start the jobs.

        If `record` raises, the wrappers are killed and no job runs. It is not called when no job can start.
        """
        with ExitStack() as undo:
            prepared = [ready for job in jobs if (ready := self._prepare(job, undo))]
            if prepared:
                record({ready.attempt: ready.identity.text() for ready in prepared})
            undo.pop_all()
        # Until its exec, a child is as big as its parent: a smaller figure says nothing about the job.
        floor, kills = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, self._memory_kills.count()
        for ready in prepared:
            run = LocalAttempt(identity=ready.identity, pidfd=ready.pidfd, log=ready.log)
            run.memory_floor, run.memory_kills = floor, kills
            with self._lock:
                self._running[ready.attempt] = run
            ready.start()
            self._notifier.watch(ready.pidfd)

    def poll(self) -> list[JobStatus]:
        """Every running attempt, and once each that has ended; kills what an ended job left behind."""
        with self._lock:
            self._close_ended_logs()
            self._kill_overdue()
            over = {None, *ended(run.pidfd for run in self._running.values() if run.pidfd is not None)}
            gone = [n for n, run in self._running.items() if run.pidfd in over and not run.remote]
            # The living leaders of other attempts, whose marks need not be read, are left over from none.
            leaders = {str(run.identity.pid) for run in self._running.values() if run.pidfd not in over}
            names = processes() - leaders if gone else set()
            for attempt in gone:
                if self._kill_leftovers(attempt, run := self._running[attempt], names):
                    self._finish(attempt, run)
            reap_orphans({run.identity.pid for run in self._running.values()})
            results, self._ended = self._ended, []
            return [*results, *(self._status(attempt, run) for attempt, run in self._running.items())]

    def stop(self, attempt: int, grace: float) -> None:
        """SIGTERM to every process of the attempt, SIGKILL after `grace` seconds.

        A second call can shorten the grace, not extend it.
        """
        with self._lock:
            run = self._running.get(attempt)
            if run is None:
                return
            if run.remote:  # unreachable: forget it until it is recovered again
                del self._running[attempt]
                return
            kill_at = time.monotonic() + grace
            if run.kill_at is None:
                self._signal(attempt, run, signal.SIGTERM)
                self._signal(attempt, run, signal.SIGCONT)  # a suspended process handles no other signal
            elif run.kill_at <= kill_at:
                return
            run.kill_at = kill_at
            self._kill_overdue()
        self._notifier.alarm(kill_at)

    def recognizes(self, handle: Handle) -> bool:
        """Whether the handle identifies a process; `recover` finds out whether this host can see it."""
        try:
            Identity.parse(handle)
        except ValueError:
            return False
        return True

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Adopt the living jobs of an earlier daemon; `poll` reports the results of the others."""
        with self._lock:
            for attempt in running.keys() - self._running.keys():
                run = self._running[attempt] = self._recovered(attempt, running[attempt])
                if run.pidfd is not None:
                    self._notifier.watch(run.pidfd)
        self._notifier.alarm(time.monotonic())

    def close(self) -> None:
        """Stop observing. Jobs keep running for the next executor on this directory to adopt. Idempotent."""
        self._notifier.close()
        with self._lock:
            if self._directory >= 0:
                keep_left_running(self._root, self._running)
                os.close(self._directory)
            self._directory = -1
            self._close_ended_logs()
            for run in self._running.values():
                if run.pidfd is not None:
                    os.close(run.pidfd)
                if run.log is not None:
                    run.log.close()
            self._running.clear()

    def _recovered(self, attempt: int, handle: Handle | None) -> LocalAttempt:
        """What became of an earlier daemon's attempt."""
        nothing = Identity(pid=0, start=0, boot="", at=0.0, executor=self._executor_id)
        if handle is None:  # claimed and never recorded: its wrapper never got the permission to start it
            return LocalAttempt(identity=nothing, began=False)
        try:
            identity = Identity.parse(handle)
        except ValueError as error:
            return LocalAttempt(identity=nothing, lost=str(error))
        log = self._file(attempt, "log")
        try:
            pidfd = locate(identity, log=log, root=self._root)
        except ProcessLookupError as error:
            preempted = attempt in self._left_running and (not identity.visible or in_container())
            found = open_log(identity, log)
            return LocalAttempt(identity=identity, lost=str(error), log=found, preempted=preempted)
        if pidfd is None:
            return LocalAttempt(identity=identity, remote=True)
        kills = self._memory_kills.count()
        return LocalAttempt(identity=identity, pidfd=pidfd, log=open_log(identity, log), memory_kills=kills)

    def _file(self, attempt: int, kind: str) -> Path:
        return attempt_file(self._root, attempt, kind)

    def _prepare(self, job: Job, undo: ExitStack) -> launcher.PreparedJob | None:
        """The job, ready to start; None, and a result for `poll`, when it cannot start."""
        at = self._now()
        log, exit_file = self._file(job.attempt, "log"), self._file(job.attempt, "exit")
        try:
            env = launcher.environment(job, run_token(str(self._root)), self._allowed_variables)
            prepared = launcher.prepare(
                job, log=log, exit_file=exit_file, env=env, at=at, executor=self._executor_id
            )
        except (OSError, ValueError) as error:
            result = JobResult.cannot_start(_message(error), at=at)
            if why := self._shortage.explain(error):
                result = JobResult.never_began(f"never started: {why}", at=at)
                self._notifier.alarm(time.monotonic() + PAUSE_SECONDS)
            with self._lock:
                self._ended.append(JobStatus(attempt=job.attempt, output_at=at, result=result))
            self._notifier.alarm(time.monotonic())
            return None
        undo.callback(prepared.abort)
        return prepared

    def _status(self, attempt: int, run: LocalAttempt, result: JobResult | None = None) -> JobStatus:
        if run.remote:
            return JobStatus(attempt=attempt, output_at=self._now(), unreachable_at=run.identity.executor)
        facts = run.log.facts() if run.log is not None else None
        if run.log is not None and facts is not None and facts.st_size > self._max_log_bytes:
            with suppress(OSError):  # such as a full disk
                run.log.shorten(self._max_log_bytes)
        # Without its descriptor nothing is known of the output, and silence is not proved.
        output_at = facts.st_mtime if facts is not None else self._now()
        return JobStatus(attempt=attempt, output_at=output_at, result=result)

    def _kill_leftovers(self, attempt: int, run: LocalAttempt, names: set[str] | None) -> bool:
        """Whether none of `names` is left of an ended job. Leftovers get the rest of its grace, then die."""
        in_grace = run.kill_at is not None and time.monotonic() < run.kill_at
        marks = Marks.of(run.identity, attempt)
        for _ in range(_KILL_ROUNDS):
            left = self._finder.find(marks, excluding=run.identity.pid, among=names)
            names = None
            if not left:
                return True
            if in_grace:
                break
            if run.kill_at is None:
                run.leftovers.update(left)
            self._signal_group(run, signal.SIGKILL)
            for pid in left:
                self._finder.signal(pid, marks, signal.SIGKILL)
            time.sleep(_KILL_ROUND_SECONDS)
        self._notifier.alarm(time.monotonic() + _RETRY_SECONDS)
        return False

    def _finish(self, attempt: int, run: LocalAttempt) -> None:
        """Reap the leader and keep its result for `poll`."""
        unreaped = self._signal_group(run, signal.SIGKILL)  # before the wait, which frees the group id
        status, usage = reap(run.identity.pid) if unreaped else (None, None)
        if run.pidfd is not None:
            os.close(run.pidfd)
        if run.began:
            file = exit_file(run.identity, self._file(attempt, "exit"))
            result = launcher.read_result(file, status=status, lost=run.lost, at=self._now())
        else:
            result = JobResult.never_began(at=self._now())
        if run.pidfd is not None and run.kill_at is None:
            result = self._memory_kills.explain(result, run.memory_kills)
        if run.preempted and result.began and result.code != 0:
            why = run.lost if result.code is None else f"{run.lost}, exit {result.code}"
            result = JobResult.preempted(why, at=result.ended_at)
        if run.leftovers and result.began:
            result = result.with_leftovers(len(run.leftovers))
        memory = usage.ru_maxrss if usage and usage.ru_maxrss > run.memory_floor else None
        result = replace(
            result,
            # The clock of file times lags a little: no job ends before it began.
            ended_at=max(result.ended_at, run.identity.at),
            max_rss_bytes=memory and memory * 1024,
            cpu_seconds=usage and round(usage.ru_utime + usage.ru_stime, 3),
        )
        self._ended.append(self._status(attempt, run, result))
        if run.log is not None:
            self._ended_logs[attempt] = run.log
        del self._running[attempt]

    def _close_ended_logs(self) -> None:
        """Close the logs of attempts whose ends an earlier `poll` has reported."""
        for log in self._ended_logs.values():
            log.close()
        self._ended_logs.clear()

    def _signal_group(self, run: LocalAttempt, number: int) -> bool:
        """Signal the job's process group unless its id may be reused; whether it was signalled."""
        if run.pidfd is None or not exists(run.pidfd):
            return False
        signal_group(run.identity.pid, number)
        return True

    def _signal(self, attempt: int, run: LocalAttempt, number: int) -> None:
        """Signal each process of the attempt once: its group, and the processes that left the group."""
        members: list[int] = []
        marks = Marks.of(run.identity, attempt)
        try:
            members = self._finder.find_family(marks, leader=run.identity.pid)
        finally:  # the group is signalled even when /proc cannot be read
            grouped = self._signal_group(run, number)
        for pid in members:
            if not (grouped and same_group(pid, run.identity.pid)):
                self._finder.signal(pid, marks, number)

    def _kill_overdue(self) -> None:
        for attempt, run in self._running.items():
            if run.kill_at is not None and run.kill_at <= time.monotonic() and not run.killed:
                self._signal(attempt, run, signal.SIGKILL)
                run.killed = True

    def _on_wakeup(self) -> None:
        """In the notifier's thread: a grace period ends even while the engine does not poll."""
        with self._lock, suppress(OSError):  # such as no descriptors left: the next poll tries again
            self._kill_overdue()
        self._on_end()


def _writable(root: Path) -> Path:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(root, os.W_OK | os.X_OK):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise OSError(error.errno, f"cannot keep job logs here: {error.strerror}", str(root)) from error
    return root.resolve()


def _message(error: OSError | ValueError) -> str:
    """The text of an error, without its number."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
