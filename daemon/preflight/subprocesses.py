"""Programs that preflight runs: `--help`, a dry run, and the job's interpreter to compile a script.

Each runs in its own process group with the environment of a job, no input, and a time limit that ends the
whole group.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.local.launcher import environment
from backfilld.state.pipeline.processor import Processor

HELP_SECONDS = 15.0
DRY_RUN_SECONDS = 60.0

_COMPILES = "import sys; compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec', dont_inherit=True)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The result of a program. `code` is None where it timed out or could not start."""

    code: int | None
    output: str

    @property
    def last_line(self) -> str:
        """The last line of output, which usually says why it failed."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "no output"


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float) -> CommandResult:
    """Run a program until it ends or has run for `seconds`."""
    try:
        process = subprocess.Popen(  # noqa: S603 - the pipeline file's command, by no shell
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return CommandResult(code=None, output=str(error))
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return CommandResult(code=None, output=f"it did not end within {seconds:g} s")
    finally:
        if process.returncode is None:  # Ctrl-C does not reach its session
            _end_group(process)
    return CommandResult(code=process.returncode, output=output.decode("utf-8", "replace"))


def run_attached(argv: Sequence[str]) -> int:
    """Run a program with this process's terminal, without a limit. Returns its exit code."""
    return subprocess.run(argv, check=False).returncode  # noqa: S603 - the unit's program and this verb's words


def job_environment(processor: Processor, cwd: Path, argv: Sequence[str]) -> dict[str, str]:
    """The environment of the processor's jobs, without bytecode files beside the scripts."""
    job = Job(attempt=0, argv=tuple(argv), cwd=cwd, env=processor.env, pass_env=processor.pass_env)
    return {**environment(job, "preflight"), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}


def compiles_elsewhere(interpreter: str, script: Path, env: Mapping[str, str]) -> bool:
    """Whether another interpreter can compile a script; nothing of it is run."""
    argv = [interpreter, "-I", "-c", _COMPILES, str(script)]
    return run(argv, cwd=script.parent, env=env, seconds=HELP_SECONDS).code == 0


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # a process that left the group may still hold the pipe
        process.communicate(timeout=1.0)
