"""Runs jobs as processes of this machine, which outlive the daemon and are found again by the next one."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.executors import Exit, Handle, Job, Observation, Record, wrapper
from daemon.executors.census import Census
from daemon.executors.files import attempt_file
from daemon.executors.process import Identity, ended, exists, home_of, reap, same_group
from daemon.executors.watcher import Watcher

_NOBODY = Identity(pid=0, start=0, boot="", at=0.0)
_ROUNDS = 20
_ROUND_SECONDS = 0.001
_LOOK_AGAIN_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class _Run:
    """One attempt under way. Without a pidfd its process is gone, and `lost` says how, or is `elsewhere`."""

    identity: Identity
    pidfd: int | None = None
    lost: str = "its process ended without saying how"
    memory_floor: int = 0
    kill_at: float | None = None
    killed: bool = False
    elsewhere: bool = False
    began: bool = True
    """False when it was never let go: files of its number are of another, from before a restore."""


class Local:
    """An executor of processes: each job a session of its own, with a log and an exit file under `root`.

    A job is reported as ended only when nothing of it is left, wherever its children went: the rule of one
    writer per table rests on it. Of what was started on another machine, or in another directory, it knows
    nothing and says so. `on_end` is called in another thread, must return at once and not raise.
    Raises OSError when `root` cannot be written.
    """

    obstacle = ""
    fault = ""
    """This machine is always there."""

    def __init__(
        self, root: Path, *, on_end: Callable[[], None] = lambda: None, now: Callable[[], float] = time.time
    ) -> None:
        self._root = _writable(root)
        self._on_end = on_end
        self._now = now
        self._token = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:16]
        self._home = home_of(self._root)
        self._census = Census(self._token)
        self._lock = threading.Lock()
        self._runs: dict[int, _Run] = {}
        self._exits: list[Observation] = []
        self._watcher = Watcher(self._wake)

    def log(self, attempt: int) -> Path:
        """The file that holds the attempt's output, stdout and stderr as they came."""
        return self._file(attempt, "log")

    def launch(self, jobs: Sequence[Job], record: Record) -> None:
        """Start every job's wrapper, `record` all handles in one call, then let the jobs begin.

        If `record` raises, the wrappers are ended and no job runs. It is not called when no job could start.
        """
        with ExitStack() as undo:
            waiting = [held for job in jobs if (held := self._hold(job, undo))]
            if waiting:
                record({held.attempt: held.identity.text() for held in waiting})
            undo.pop_all()
        # A child counts as big as its parent until it execs: figures up to the daemon's own say nothing.
        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for held in waiting:
            with self._lock:
                self._runs[held.attempt] = _Run(identity=held.identity, pidfd=held.pidfd, memory_floor=floor)
            held.release()
            self._watcher.watch(held.pidfd)

    def poll(self) -> list[Observation]:
        """Every attempt under way, and once each that has ended; ends what an ended job left behind."""
        with self._lock:
            self._kill_overdue()
            over = ended(run.pidfd for run in self._runs.values() if run.pidfd is not None)
            for attempt, run in list(self._runs.items()):
                gone = not run.elsewhere and (run.pidfd is None or run.pidfd in over)
                if gone and self._cleared(attempt, run):
                    self._finish(attempt, run)
            exits, self._exits = self._exits, []
            return [*exits, *(self._observe(attempt, run) for attempt, run in self._runs.items())]

    def stop(self, attempt: int, grace: float) -> None:
        """SIGTERM to every process of the attempt, SIGKILL after `grace` seconds; later only ever sooner."""
        with self._lock:
            run = self._runs.get(attempt)
            if run is None:
                return
            if run.elsewhere:  # out of reach, and out of mind until it is to be recovered again
                del self._runs[attempt]
                return
            kill_at = time.monotonic() + grace
            if run.kill_at is None:
                self._signal(attempt, run, signal.SIGTERM)
                self._signal(attempt, run, signal.SIGCONT)  # a suspended process hears nothing else
            elif run.kill_at <= kill_at:
                return
            run.kill_at = kill_at
            self._kill_overdue()
        self._watcher.alarm(kill_at)

    def recover(self, running: Mapping[int, Handle | None]) -> None:
        """Adopt what still lives of an earlier daemon's attempts; `poll` tells how the others ended."""
        with self._lock:
            for attempt in running.keys() - self._runs.keys():
                run = self._runs[attempt] = _recovered(running[attempt], self._home)
                if run.pidfd is not None:
                    self._watcher.watch(run.pidfd)
        self._watcher.alarm(time.monotonic())

    def close(self) -> None:
        """End the watch. Jobs live on, for the next executor on the same directory to adopt. Idempotent."""
        self._watcher.close()
        with self._lock:
            for run in self._runs.values():
                if run.pidfd is not None:
                    os.close(run.pidfd)
            self._runs.clear()

    def _file(self, attempt: int, kind: str) -> Path:
        return attempt_file(self._root, attempt, kind)

    def _hold(self, job: Job, undo: ExitStack) -> wrapper.Held | None:
        """The job, ready to begin; None, and an exit to report, when it cannot start."""
        at = self._now()
        log, exit_file = self.log(job.attempt), self._file(job.attempt, "exit")
        try:
            env = wrapper.environment(job, self._token)
            held = wrapper.hold(job, log=log, exit_file=exit_file, env=env, at=at, home=self._home)
        except (OSError, ValueError) as error:
            end = Exit.cannot_start(_plain(error), at=at)
            with self._lock:
                self._exits.append(Observation(attempt=job.attempt, output_at=at, exit=end))
            self._watcher.alarm(time.monotonic())
            return None
        undo.callback(held.abandon)
        return held

    def _observe(self, attempt: int, run: _Run, end: Exit | None = None) -> Observation:
        if run.elsewhere:
            return Observation(attempt=attempt, output_at=self._now(), elsewhere=run.identity.home)
        try:
            output_at = self.log(attempt).stat().st_mtime
        except OSError:
            output_at = run.identity.at
        return Observation(attempt=attempt, output_at=output_at, exit=end)

    def _cleared(self, attempt: int, run: _Run) -> bool:
        """Whether nothing is left of an ended job. What is left gets SIGKILL, or the rest of its grace."""
        patient = run.kill_at is not None and time.monotonic() < run.kill_at
        for _ in range(_ROUNDS):
            left = self._census.find(attempt, besides=run.identity.pid)
            if not left:
                return True
            if patient:
                break
            self._signal_group(run, signal.SIGKILL)
            for pid in left:
                self._census.signal(pid, attempt, signal.SIGKILL)
            time.sleep(_ROUND_SECONDS)
        self._watcher.alarm(time.monotonic() + _LOOK_AGAIN_SECONDS)
        return False

    def _finish(self, attempt: int, run: _Run) -> None:
        """Reap the leader and keep for `poll` how the job ended."""
        unreaped = self._signal_group(run, signal.SIGKILL)  # before the wait, which gives the group's id away
        status, usage = reap(run.identity.pid) if unreaped else (None, None)
        if run.pidfd is not None:
            os.close(run.pidfd)
        end = Exit.never_began(at=self._now())
        if run.began:
            said = self._file(attempt, "exit")
            end = wrapper.outcome(said, status=status, lost=run.lost, at=self._now())
        memory = usage.ru_maxrss if usage and usage.ru_maxrss > run.memory_floor else None
        end = replace(
            end,
            # The clock of file times lags a little: nothing ends before it began.
            ended_at=max(end.ended_at, run.identity.at),
            max_rss_bytes=memory and memory * 1024,
            cpu_seconds=usage and round(usage.ru_utime + usage.ru_stime, 3),
        )
        del self._runs[attempt]
        self._exits.append(self._observe(attempt, run, end))

    def _signal_group(self, run: _Run, number: int) -> bool:
        """Signal the job's group, if its id is still its own; whether it was."""
        if run.pidfd is None or not exists(run.pidfd):
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(run.identity.pid, number)
        return True

    def _signal(self, attempt: int, run: _Run, number: int) -> None:
        """Signal each process of the attempt once: its group, and those that left the group."""
        members: list[int] = []
        try:
            members = self._census.find(attempt, besides=run.identity.pid)
        finally:  # the group hears of it even when /proc cannot be read
            grouped = self._signal_group(run, number)
        for pid in members:
            if not (grouped and same_group(pid, run.identity.pid)):
                self._census.signal(pid, attempt, number)

    def _kill_overdue(self) -> None:
        for attempt, run in self._runs.items():
            if run.kill_at is not None and run.kill_at <= time.monotonic() and not run.killed:
                self._signal(attempt, run, signal.SIGKILL)
                run.killed = True

    def _wake(self) -> None:
        """In the watcher's thread: a grace ends even while nobody polls."""
        with self._lock, suppress(OSError):  # out of descriptors, say: the next poll tries again
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


def _recovered(handle: Handle | None, home: str) -> _Run:
    """What became of an attempt of an earlier daemon."""
    if handle is None:  # claimed, but never recorded: its wrapper was never let go
        return _Run(identity=_NOBODY, began=False)
    try:
        identity = Identity.parse(handle)
    except ValueError as error:
        return _Run(identity=_NOBODY, lost=str(error))
    if identity.home not in ("", home):
        return _Run(identity=identity, elsewhere=True)
    try:
        return _Run(identity=identity, pidfd=identity.open())
    except ProcessLookupError as error:
        return _Run(identity=identity, lost=str(error))


def _plain(error: OSError | ValueError) -> str:
    """An error without its number."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
