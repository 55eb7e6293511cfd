"""Starts a job behind a shell script that waits until its handle is recorded and keeps its exit code."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.executors.adapter import Job, JobResult
from backfilld.daemon.executors.attempt_files import OpenLog, create, open_plain
from backfilld.daemon.executors.local.descendant_processes import ATTEMPT, RUN, Marks
from backfilld.daemon.executors.process_identity import Identity
from backfilld.daemon.open_file_limit import restore_open_files

SHELL = "/bin/sh"

# The shell never parses a word of the job's command: the words arrive as arguments.
# - A line on stdin is the permission to start; end of file means that the launcher is dead.
# - Traps instead of ignored signals: the shell survives a signal to its group, the job gets the defaults.
# - A command without a slash could be a builtin of the shell; `exec` runs no builtin, at the price of a fork.
# - The exit code is one write of one line to an existing empty file, so that a reader sees all of it or
#   nothing. A temporary file would cost a process for `mv` (1 ms) without a benefit.
# - The wrapper gets that file as its stderr and keeps it as descriptor 3, which the job does not get: a job
#   that puts a FIFO in the place of the file cannot stop the wrapper.
_SCRIPT = """\
exec 3>&2 2>&1
trap : HUP INT QUIT TERM USR1 USR2
read -r backfilld_go || { echo held >&3; exit 0; }
case $1 in
*/*) "$@" </dev/null 3>&- ;;
*) (exec "$@" </dev/null 3>&-) ;;
esac
backfilld_code=$?
echo "$backfilld_code" >&3
exit "$backfilld_code"
"""
_NEVER_STARTED = "held"
"""Content of the exit file when the launcher died before it started the job."""

_EXIT_BYTES = 64
"""The most that is read of an exit file."""

_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")


def environment(job: Job, token: str, allowed: Mapping[str, str]) -> dict[str, str]:
    """The job's whole environment: some variables of the daemon, the job's, and the markers."""
    return {**passed_environment(job.env, job.pass_env, allowed), ATTEMPT: str(job.attempt), RUN: token}


def passed_environment(
    env: Mapping[str, str], pass_env: Collection[str], allowed: Mapping[str, str]
) -> dict[str, str]:
    """The `allowed_variables` of the daemon, those named in `pass_env`, and `env`."""
    return {**allowed, **{name: os.environ[name] for name in pass_env if name in os.environ}, **env}


def allowed_variables() -> dict[str, str]:
    """The variables of the daemon that each command of the pipeline file gets.

    An allow-list, so that no token, credential or socket of the daemon reaches one by accident. To read it
    takes a tenth of what it takes to start a process.
    """
    return {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith("LC_")}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedJob:
    """A wrapper process whose job waits for `start`."""

    attempt: int
    identity: Identity
    pidfd: int
    permission: int
    """The file descriptor on which the wrapper waits for its permission to start the job."""
    log: OpenLog

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
        self.log.close()
        os.waitpid(self.identity.pid, 0)


def prepare(
    job: Job, *, log: Path, exit_file: Path, env: Mapping[str, str], at: float, executor: str
) -> PreparedJob:
    """Start the wrapper of a job in its own session. Raises OSError or ValueError when that fails."""
    with ExitStack() as closing, ExitStack() as failing:
        output = create(log)
        closing.callback(os.close, output)
        exit_code = create(exit_file)
        closing.callback(os.close, exit_code)
        own_log = OpenLog(os.open(f"/proc/self/fd/{output}", os.O_RDWR | os.O_APPEND | os.O_CLOEXEC))
        failing.callback(own_log.close)
        stdin, permission = os.pipe()
        closing.callback(os.close, stdin)
        failing.callback(os.close, permission)
        locked = _lock(output)
        child = subprocess.Popen(  # noqa: S603  the script is constant, the job's words are arguments
            [SHELL, "-c", _SCRIPT, "backfilld-job", *_command(job, env)],
            stdin=stdin,
            stdout=output,
            stderr=exit_code,
            cwd=job.cwd,
            env=env,
            start_new_session=True,
        )
        # The executor reaps by pid. Without a return code, the object would also reap when it is collected.
        child.returncode = 0
        failing.callback(_kill, child.pid)
        inode = os.fstat(output).st_ino if locked else 0
        identity = Identity.of(child.pid, at=at, executor=executor, log=inode)
        Marks.of(identity, job.attempt).put_on(child.pid)
        restore_open_files(child.pid)
        pidfd = os.pidfd_open(child.pid)
        failing.pop_all()
    return PreparedJob(
        attempt=job.attempt, identity=identity, pidfd=pidfd, permission=permission, log=own_log
    )


def read_result(exit_file: Path, *, status: int | None, lost: str, at: float) -> JobResult:
    """How a job ended, at epoch seconds `at` unless the exit file says when.

    The exit file is the best source, then the wrapper's wait `status`, then the reason `lost`.
    """
    try:
        with open(open_plain(exit_file), "rb", buffering=0) as file:
            text = file.read(_EXIT_BYTES).strip().decode("ascii", "replace")
            written_at = os.fstat(file.fileno()).st_mtime
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


def _lock(output: int) -> bool:
    """Lock the log for whoever has this descriptor or inherits it; whether that was possible.

    A daemon in another container, or after a restart of the machine, sees by it that none of them is left.
    """
    try:
        fcntl.flock(output, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a filesystem without locks
        return False
    return True


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
