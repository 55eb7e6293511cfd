"""Starts a job behind a shell script that waits until its handle is recorded and keeps its exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.executors.adapter import Job, JobResult
from backfilld.daemon.executors.local.process_finder import ATTEMPT, RUN
from backfilld.daemon.executors.process_identity import Identity

SHELL = "/bin/sh"

# The shell never parses a word of the job's command: the words arrive as arguments.
# - A line on stdin is the permission to start; end of file means that the launcher is dead.
# - Traps instead of ignored signals: the shell survives a signal to its group, the job gets the defaults.
# - A command without a slash could be a builtin of the shell; `exec` runs no builtin, at the price of a fork.
# - The exit code is one write of one line to an existing empty file, so that a reader sees all of it or
#   nothing. A temporary file would cost a process for `mv` (1 ms) without a benefit.
_SCRIPT = """\
trap : HUP INT QUIT TERM USR1 USR2
backfilld_exit=$1
shift
read -r backfilld_go || { echo held >"$backfilld_exit"; exit 0; }
case $1 in
*/*) "$@" </dev/null ;;
*) (exec "$@" </dev/null) ;;
esac
backfilld_code=$?
echo "$backfilld_code" >"$backfilld_exit"
exit "$backfilld_code"
"""
_NEVER_STARTED = "held"
"""Content of the exit file when the launcher died before it started the job."""

_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")


def environment(job: Job, token: str) -> dict[str, str]:
    """The job's whole environment: some variables of the daemon, the job's, and the markers.

    Variables of the daemon are passed by an allow-list, so that no token, credential or socket of the daemon
    reaches a job by accident.
    """
    names = {*_PASSED, *job.pass_env}
    passed = {name: text for name, text in os.environ.items() if name in names or name.startswith("LC_")}
    return {**passed, **job.env, ATTEMPT: str(job.attempt), RUN: token}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A wrapper process whose job waits for `start`."""

    attempt: int
    identity: Identity
    pidfd: int
    permission: int
    """The file descriptor on which the wrapper waits for its permission to start the job."""

    def start(self) -> None:
        """Start the job."""
        with suppress(BrokenPipeError):  # the wrapper is dead, which its pidfd shows
            os.write(self.permission, b"go\n")
        os.close(self.permission)

    def abort(self) -> None:
        """Kill the wrapper; the job never runs."""
        os.close(self.permission)
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)
        os.waitpid(self.identity.pid, 0)


def prepare(
    job: Job, *, log: Path, exit_file: Path, env: Mapping[str, str], at: float, executor: str
) -> PreparedJob:
    """Start the wrapper of a job in its own session. Raises OSError or ValueError when that fails."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as closing, ExitStack() as failing:
        output = _create(log, closing)
        _create(exit_file, closing)
        stdin, permission = os.pipe()
        closing.callback(os.close, stdin)
        failing.callback(os.close, permission)
        child = subprocess.Popen(  # noqa: S603  the script is constant, the job's words are arguments
            [SHELL, "-c", _SCRIPT, "backfilld-job", str(exit_file), *_command(job, env)],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=job.cwd,
            env=env,
            start_new_session=True,
        )
        # The executor reaps by pid. Without a return code, the object would also reap when it is collected.
        child.returncode = 0
        failing.callback(_kill, child.pid)
        identity = Identity.of(child.pid, at=at, executor=executor)
        pidfd = os.pidfd_open(child.pid)
        failing.pop_all()
    return PreparedJob(attempt=job.attempt, identity=identity, pidfd=pidfd, permission=permission)


def read_result(exit_file: Path, *, status: int | None, lost: str, at: float) -> JobResult:
    """How a job ended, at epoch seconds `at` unless the exit file says when.

    The exit file is the best source, then the wrapper's wait `status`, then the reason `lost`.
    """
    try:
        with exit_file.open("rb", buffering=0) as file:
            text, written_at = (
                file.read().strip().decode("ascii", "replace"),
                os.fstat(file.fileno()).st_mtime,
            )
    except OSError:
        text, written_at = "", at
    if text.isdigit():
        return JobResult(code=int(text), ended_at=written_at)
    if text == _NEVER_STARTED:
        return JobResult.never_began(at=written_at)
    if status is None:
        return JobResult.lost(lost, at=at)
    if os.WIFSIGNALED(status):
        return JobResult(code=None, ended_at=at, detail=f"killed by signal {os.WTERMSIG(status)}")
    return JobResult(code=os.WEXITSTATUS(status), ended_at=at)


def _command(job: Job, env: Mapping[str, str]) -> tuple[str, ...]:
    """The job's argument vector with the full path of its program, which saves the wrapper a fork."""
    name, *arguments = job.argv
    path = shutil.which(name, path=env.get("PATH", os.defpath)) if "/" not in name else None
    return (path if path and path.startswith("/") else name, *arguments)


def _create(path: Path, closing: ExitStack) -> int:
    """Open an empty file for appending, readable by its owner only."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    closing.callback(os.close, fd)
    return fd


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
