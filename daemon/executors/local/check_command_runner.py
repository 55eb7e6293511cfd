"""Runs check commands (`expect.check`) as processes of this host that end with the daemon.

Each has its own process group, a time limit and a log of bounded size. Whatever it starts is ended with it,
also in another session. When the daemon is killed, the wrapper of each ends its group, as the pipe from the
daemon closes.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from pathlib import Path

from backfilld.daemon.executors.attempt_files import OpenLog, create
from backfilld.daemon.executors.check_command_runner_interface import CheckCommand, CheckEnd
from backfilld.daemon.executors.local.descendant_processes import Marks, ProcessFinder
from backfilld.daemon.executors.local.launcher import SHELL, allowed_variables, passed_environment
from backfilld.daemon.executors.process_identity import Identity, executor_id, signal_group
from backfilld.daemon.open_file_limit import restore_open_files
from backfilld.state.formatting import last_line, shown_line
from backfilld.state.rules.check_command_run import NOT_FOUND
from backfilld.state.rules.needs_graph import Pair

FOLDER = "checks"
"""The folder of logs in the state directory."""
LOG_BYTES = 1 << 20
"""The most that a log may have. A longer one loses its middle."""
_TAIL_BYTES = 2000
"""How much of the log's end is searched for the line that a verdict shows."""
_SIGNALLED = 128
"""Shells report the end by a signal with its number above this."""
_KILL_ROUNDS = 50
_KILL_ROUND_SECONDS = 0.02
_BEGIN = b"go\n"
_POLL_SECONDS = 1.0
"""How often the size of the log is checked."""

# The shell never parses a word of the command: the words arrive as arguments.
# - Descriptor 3 is a pipe whose other end only the daemon holds: end of file means that the daemon is gone.
# - The command begins once the daemon has marked the shell, as its children inherit the mark.
# - Traps instead of ignored signals: the shell outlives SIGTERM and reports the code of its command.
# - The reader of the pipe is ended and reaped, as the daemon may be gone.
_SCRIPT = """\
exec 3<&0 </dev/null
read -r backfilld_begin <&3 || exit 1
trap : HUP INT QUIT TERM USR1 USR2
{ read -r backfilld_end; kill -KILL 0; } <&3 >/dev/null 2>&1 &
backfilld_reader=$!
exec 3<&-
"$@"
backfilld_code=$?
exec >/dev/null 2>&1
kill -KILL "$backfilld_reader"
wait "$backfilld_reader"
exit "$backfilld_code"
"""


def log_file(state_dir: Path, pair: Pair) -> Path:
    """The log of the latest run of a check command."""
    date, processor = pair
    return state_dir / FOLDER / processor / f"{date}.log"


class CheckProcesses:
    """Runs each check command in a thread. `on_end` is called there and must return at once."""

    def __init__(self, state_dir: Path, *, on_end: Callable[[], None] = lambda: None) -> None:
        self._state_dir = state_dir
        self._on_end = on_end
        self._lock = threading.Lock()
        self._threads: dict[Pair, threading.Thread] = {}
        self._groups: dict[Pair, int] = {}
        self._ended: list[CheckEnd] = []
        self._closed = False

    @property
    def running(self) -> Collection[Pair]:
        """The pairs whose command runs, or has ended since the last `poll`."""
        with self._lock:
            return set(self._threads)

    def start(self, command: CheckCommand) -> None:
        """Start a command whose pair is not running. `poll` reports its end, also where it cannot start."""
        thread = threading.Thread(target=self._run, args=(command,), name="check", daemon=True)
        with self._lock:
            thread.start()
            self._threads[command.pair] = thread

    def poll(self) -> list[CheckEnd]:
        """The commands that ended since the last call."""
        with self._lock:
            ended, self._ended = self._ended, []
            for end in ended:
                del self._threads[end.pair]
            return ended

    def close(self, timeout: float = 10.0) -> None:
        """Kill what runs and wait for its end, at most `timeout` seconds. Idempotent."""
        with self._lock:
            self._closed = True
            for group in self._groups.values():
                signal_group(group, signal.SIGKILL)
            threads = list(self._threads.values())
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _run(self, command: CheckCommand) -> None:
        exit_code: int | None = None
        detail = "could not start"
        try:
            exit_code, detail = self._result(command)
        except ValueError as error:
            exit_code, detail = NOT_FOUND, str(error)
        except OSError as error:  # such as too little memory or disk, which may end
            detail = f"could not start: {error.strerror or error}"
        finally:
            end = CheckEnd(pair=command.pair, subject=command.subject, exit_code=exit_code, detail=detail)
            with self._lock:
                self._ended.append(end)
            self._on_end()

    def _result(self, command: CheckCommand) -> tuple[int | None, str]:
        """Run a command to its end. Returns its exit code, and a line of its log or why it has no code."""
        with ExitStack() as closing:
            output = create(log_file(self._state_dir, command.pair))
            log = OpenLog(output)
            closing.callback(log.close)
            stdin, lifeline = os.pipe()
            closing.callback(os.close, lifeline)
            with ExitStack() as starting:
                starting.callback(os.close, stdin)
                process = _started(command, stdin, output)
            restore_open_files(process.pid)
            marks = Marks.of(Identity.of(process.pid, at=0.0, executor=executor_id(self._state_dir)), 0)
            marks.put_on(process.pid)
            with suppress(BrokenPipeError):  # the shell is dead, which the wait shows
                os.write(lifeline, _BEGIN)
            in_time, tail = self._wait(command, process, log)
            _kill_escaped(marks, process.pid)
        if not in_time:
            printed = f": {last_line(tail)}" if last_line(tail) else " and printed nothing"
            remedy = "raise its timeout, or run it by hand"
            return None, f"did not end within {command.timeout:g} s{printed}; {remedy}"
        code = process.returncode
        line = shown_line(tail, command.error_pattern, failed=code != 0)
        return code if code >= 0 else _SIGNALLED - code, line

    def _wait(
        self, command: CheckCommand, process: subprocess.Popen[bytes], log: OpenLog
    ) -> tuple[bool, str]:
        """Wait for the end of a process group: whether its leader ended in time, and its log's end then."""
        with self._lock:
            self._groups[command.pair] = process.pid
            if self._closed:
                signal_group(process.pid, signal.SIGKILL)
        pidfd = os.pidfd_open(process.pid)
        try:
            in_time = _ends_within(pidfd, command.timeout, log)
            tail = _tail(log)  # the shell adds a line about SIGTERM
            if not in_time:
                signal_group(process.pid, signal.SIGTERM)
                _ends_within(pidfd, command.grace_period, log)
        finally:
            with self._lock:
                del self._groups[command.pair]
            signal_group(process.pid, signal.SIGKILL)  # before the wait, which frees the group's id
            process.wait()
            os.close(pidfd)
        return in_time, tail


def _tail(log: OpenLog) -> str:
    """The end of a log; empty where it cannot be read."""
    facts = log.facts()
    start = max(facts.st_size - _TAIL_BYTES, 0) if facts else 0
    return (log.read(start, _TAIL_BYTES) or b"").decode("utf-8", "replace")


def _kill_escaped(marks: Marks, leader: int) -> None:
    """Kill the processes that left the group of an ended command."""
    finder = ProcessFinder()
    for _ in range(_KILL_ROUNDS):
        left = finder.find(marks, excluding=leader)
        if not left:
            return
        for pid in left:
            finder.signal(pid, marks, signal.SIGKILL)
        time.sleep(_KILL_ROUND_SECONDS)


def _started(command: CheckCommand, stdin: int, output: int) -> subprocess.Popen[bytes]:
    """The process of a command.

    Raises:
        ValueError: its program or its `cwd` does not exist, or a word of it cannot be an argument.
        OSError: the host cannot start it now.
    """
    env = passed_environment(command.env, command.pass_env, allowed_variables())
    name, *arguments = command.argv
    path = shutil.which(str(command.cwd / name) if "/" in name else name, path=env.get("PATH", os.defpath))
    if not command.cwd.is_dir():
        raise ValueError(f"its cwd {command.cwd} is not a folder")
    if path is None:
        raise ValueError(f"the program {name} does not exist or cannot be executed")
    return subprocess.Popen(  # noqa: S603 - the script is constant, the command's words are arguments
        [SHELL, "-c", _SCRIPT, "backfilld-check", path or name, *arguments],
        cwd=command.cwd,
        env=env,
        stdin=stdin,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _ends_within(pidfd: int, seconds: float, log: OpenLog) -> bool:
    """Whether a process ends within some seconds. Keeps its log short meanwhile."""
    poll, deadline = select.poll(), time.monotonic() + seconds
    poll.register(pidfd, select.POLLIN)
    while not poll.poll(1000 * min(max(deadline - time.monotonic(), 0.0), _POLL_SECONDS)):
        with suppress(OSError):  # such as a full disk
            log.shorten(LOG_BYTES)
        if time.monotonic() >= deadline:
            return False
    with suppress(OSError):
        log.shorten(LOG_BYTES)
    return True
