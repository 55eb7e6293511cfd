"""How a job is started: behind a tiny shell that holds it until it may begin, and keeps its exit status."""

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
from backfilld.daemon.executors.local.process import Identity
from backfilld.daemon.executors.local.process_finder import ATTEMPT, RUN

SHELL = "/bin/sh"

# No word of the job is ever parsed: it arrives as arguments.
# - The line on stdin is the permission to begin; end of file means that whoever started this is dead.
# - Traps, not ignored signals: the shell outlives a signal to its group, the job gets the default actions.
# - A command without a slash could be a builtin of the shell; `exec` knows none, for one more fork.
# - The status is one write of one line into an empty file that is there already, so a reader sees all of it
#   or nothing; a temporary name would cost a process for `mv` (1 ms) and buy nothing.
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
_HELD = "held"
"""What the exit file says when the daemon died before the job was let go."""

_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")


def environment(job: Job, token: str) -> dict[str, str]:
    """The job's whole environment: a few variables of the daemon, those the job names, its own, the marks.

    The daemon's are named one by one, so that no token, credential or socket of it reaches a job by accident.
    """
    names = {*_PASSED, *job.pass_env}
    passed = {name: text for name, text in os.environ.items() if name in names or name.startswith("LC_")}
    return {**passed, **job.env, ATTEMPT: str(job.attempt), RUN: token}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A started wrapper whose job waits to be let go."""

    attempt: int
    identity: Identity
    pidfd: int
    gate: int

    def release(self) -> None:
        """Let the job begin."""
        with suppress(BrokenPipeError):  # the wrapper is dead already, which its pidfd tells
            os.write(self.gate, b"go\n")
        os.close(self.gate)

    def abandon(self) -> None:
        """End the wrapper; the job never runs."""
        os.close(self.gate)
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)
        os.waitpid(self.identity.pid, 0)


def prepare(
    job: Job, *, log: Path, exit_file: Path, env: Mapping[str, str], at: float, home: str
) -> PreparedJob:
    """Start the wrapper of a job in its own session. Raises OSError or ValueError when that cannot be."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as closing, ExitStack() as failing:
        output = _empty(log, closing)
        _empty(exit_file, closing)
        permission, gate = os.pipe()
        closing.callback(os.close, permission)
        failing.callback(os.close, gate)
        child = subprocess.Popen(  # noqa: S603  the script is constant, the job's words are arguments
            [SHELL, "-c", _SCRIPT, "backfilld-job", str(exit_file), *_command(job, env)],
            stdin=permission,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=job.cwd,
            env=env,
            start_new_session=True,
        )
        # The executor reaps by pid; left as it is, the object would do so too once it is collected.
        child.returncode = 0
        failing.callback(_kill, child.pid)
        identity = Identity.of(child.pid, at=at, home=home)
        held = PreparedJob(attempt=job.attempt, identity=identity, pidfd=os.pidfd_open(child.pid), gate=gate)
        failing.pop_all()
    return held


def read_result(exit_file: Path, *, status: int | None, lost: str, at: float) -> JobResult:
    """How a job ended, at epoch seconds `at` unless that is known better.

    The exit file knows best, then the wrapper's wait `status`, then what was found out on recovery (`lost`).
    """
    try:
        with exit_file.open("rb", buffering=0) as file:
            said, said_at = file.read().strip().decode("ascii", "replace"), os.fstat(file.fileno()).st_mtime
    except OSError:
        said, said_at = "", at
    if said.isdigit():
        return JobResult(code=int(said), ended_at=said_at)
    if said == _HELD:
        return JobResult.never_began(at=said_at)
    if status is None:
        return JobResult.lost(lost, at=at)
    if os.WIFSIGNALED(status):
        return JobResult(code=None, ended_at=at, detail=f"killed by signal {os.WTERMSIG(status)}")
    return JobResult(code=os.WEXITSTATUS(status), ended_at=at)


def _command(job: Job, env: Mapping[str, str]) -> tuple[str, ...]:
    """The job's argument vector with its command's full path, which spares the wrapper a fork."""
    name, *arguments = job.argv
    path = shutil.which(name, path=env.get("PATH", os.defpath)) if "/" not in name else None
    return (path if path and path.startswith("/") else name, *arguments)


def _empty(path: Path, closing: ExitStack) -> int:
    """Open an empty file for appending, for its owner only."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    closing.callback(os.close, fd)
    return fd


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
