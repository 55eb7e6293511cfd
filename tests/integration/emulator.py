"""A BigQuery server on this machine, for Google's own client to talk to over HTTP.

It wants another DuckDB than ours, hence an environment of its own beside the checkout's.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import virtual_environments
from tests.ports import free_port
from tests.timeouts import PATIENCE

ENVIRONMENT = Path(__file__).parents[2] / ".venv-emulator"
REQUIREMENTS = (
    "bqemulator==1.4.0",
    "duckdb==1.5.5",
    "duckdb-extensions",
    "duckdb-extension-spatial==1.5.5",
    "numpy",
    "pandas",
)
_SPATIAL = "from duckdb_extensions import import_extension; import_extension('spatial')"


@contextmanager
def running(scratch: Path) -> Iterator[str]:
    """The address of a fresh server, which keeps its tables in memory, while it is needed."""
    rest, grpc = free_port(), free_port()
    command = [installed(), "-m", "bqemulator", "start", "--log-level", "error"]
    command += ["--rest-port", str(rest), "--grpc-port", str(grpc)]
    log = scratch / "emulator.log"
    with (
        log.open("ab") as output,
        subprocess.Popen(command, env=_environment(), cwd=scratch, stdout=output, stderr=output) as process,
    ):
        try:
            _await(process, rest, log)
            yield f"http://127.0.0.1:{rest}"
        finally:
            process.kill()


def installed() -> str:
    """The interpreter that has the emulator; installs it first where it is not, once for all workers."""
    return virtual_environments.installed(ENVIRONMENT, REQUIREMENTS, _add_spatial)


def _add_spatial(python: str) -> None:
    virtual_environments.run([python, "-c", _SPATIAL], env=_environment())


def _environment() -> dict[str, str]:
    """Ours, with a home of its own: DuckDB keeps its extensions there, and nobody's home is touched."""
    home = ENVIRONMENT / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BQEMU_", "PYTHON"))}
    return {**kept, "HOME": str(home)}


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the BigQuery emulator did not start on {sys.platform}:\n{log.read_text()[-3000:]}")
