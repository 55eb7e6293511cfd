"""Programs that preflight runs: `--help`, a dry run, and the job's interpreter to compile a script.

Each runs in its own process group with the environment of a job, no input, and a time limit that ends the
whole group.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.local.launcher import allowed_variables, environment
from backfilld.state.pipeline.processor import Processor

HELP_SECONDS = 15.0
DRY_RUN_SECONDS = 60.0
OUTPUT_BYTES = 256 * 1024
"""The end of a program's output that is kept."""

_COMPILES = "import sys; compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec', dont_inherit=True)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """The result of a program. `code` is None where it timed out or could not start."""

    code: int | None
    output: str
    """Its last bytes, up to `OUTPUT_BYTES`; or why there are none."""
    started: bool = True

    @property
    def last_line(self) -> str:
        """The last line of output, which usually says why it failed."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "no output"


def run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], seconds: float) -> CommandResult:
    """Run a program until it ends or has run for `seconds`."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603 - the pipeline file's command, by no shell
                argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return CommandResult(code=None, output=str(error), started=False)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return CommandResult(code=None, output=f"it did not end within {seconds:g} s")
        finally:
            if process.returncode is None:  # Ctrl-C does not reach its session
                _end_group(process)
        output.seek(max(output.seek(0, os.SEEK_END) - OUTPUT_BYTES, 0))
        return CommandResult(code=process.returncode, output=output.read().decode("utf-8", "replace"))


def run_attached(argv: Sequence[str]) -> int:
    """Run a program with this process's terminal, without a limit. Returns its exit code."""
    return subprocess.run(argv, check=False).returncode  # noqa: S603 - the unit's program and this verb's words


def job_environment(processor: Processor, cwd: Path, argv: Sequence[str]) -> dict[str, str]:
    """The environment of the processor's jobs, without bytecode files beside the scripts."""
    job = Job(attempt=0, argv=tuple(argv), cwd=cwd, env=processor.env, pass_env=processor.pass_env)
    return environment_of(job)


def environment_of(job: Job) -> dict[str, str]:
    """The environment of a job, without bytecode files beside the scripts."""
    passed = environment(job, "preflight", allowed_variables())
    return {**passed, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"}


def compiles_elsewhere(interpreter: str, script: Path, env: Mapping[str, str]) -> bool:
    """Whether another interpreter can compile a script; nothing of it is run."""
    argv = [interpreter, "-I", "-c", _COMPILES, str(script)]
    return run(argv, cwd=script.parent, env=env, seconds=HELP_SECONDS).code == 0


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
