"""A BigQuery server on this machine, for Google's own client to talk to over HTTP.

It wants another DuckDB than ours, hence an environment of its own beside the checkout's.
"""

import fcntl
import os
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


class Emulator:
    """One server that keeps its tables over a kill and a restart, always at the same address."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._rest, self._grpc = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._rest}"

    def start(self) -> None:
        """Start it, empty for the first time, and wait until it answers."""
        command = [installed(), "-m", "bqemulator", "start", "--log-level", "error"]
        command += ["--rest-port", str(self._rest), "--grpc-port", str(self._grpc)]
        command += ["--persistent", "--data-dir", str(self._scratch / "data")]
        log = self._scratch / "emulator.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=_environment(), cwd=self._scratch, stdout=output, stderr=subprocess.STDOUT
            )
        _await(self._process, self._rest, log)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(scratch: Path) -> Iterator[Emulator]:
    """A fresh, empty server, while it is needed."""
    emulator = Emulator(scratch)
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.kill()


def installed() -> str:
    """The interpreter that has the emulator; installs it first where it is not, once for all workers."""
    ENVIRONMENT.mkdir(exist_ok=True)
    python = str(ENVIRONMENT / "bin" / "python")
    done = ENVIRONMENT / "installed.txt"
    wanted = "\n".join(REQUIREMENTS)
    lock = os.open(ENVIRONMENT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != wanted:
            venv.create(ENVIRONMENT, with_pip=True, symlinks=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            pip += ["--retries", "10", "--timeout", "60"]
            pip += ["--no-compile"]  # most of what comes along is never imported
            _run([*pip, *REQUIREMENTS], env=None)  # with the user's own settings of pip
            _run([python, "-c", _SPATIAL], env=_environment())
            done.write_text(wanted)
    finally:
        os.close(lock)
    return python


def _run(command: list[str], *, env: dict[str, str] | None) -> None:
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"the BigQuery emulator could not be installed:\n{ended.stderr[-3000:]}"


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
