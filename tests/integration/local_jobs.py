"""Real jobs of the local executor, launched by this process or by an earlier daemon that died."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backfilld.daemon.executors.adapter import Handle
from backfilld.daemon.executors.local.executor import LocalExecutor
from tests.integration.executor_driver import ExecutorDriver

_EARLIER_DAEMON = """
import json, os, sys
from pathlib import Path
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.local.executor import LocalExecutor

root, cwd, handle_file, mode, attempt, script = sys.argv[1:]

def record(handles):
    if mode == "dies before the record":
        os._exit(9)
    Path(handle_file).write_text(json.dumps({str(attempt): handle for attempt, handle in handles.items()}))
    if mode == "dies after the record":
        os._exit(9)

local = LocalExecutor(Path(root))
local.launch([Job(attempt=int(attempt), argv=("sh", "-c", script), cwd=Path(cwd))], record)
print("launched", flush=True)
sys.stdin.read()
"""


def local_driver(root: Path, cwd: Path) -> ExecutorDriver:
    """A local executor with its files under `root`."""
    return ExecutorDriver(cwd, lambda on_end: LocalExecutor(root, on_end=on_end))


@contextmanager
def earlier_daemon(
    driver: ExecutorDriver, script: str, mode: str = "lives", *, attempt: int = 1
) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that launches an attempt in the same directory; its handles go to `handles.json`."""
    root, handle_file = driver.log_file().parent.parent, driver.cwd / "handles.json"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", _EARLIER_DAEMON),
            *(str(root), str(driver.cwd), str(handle_file), mode, str(attempt), script),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        launched = process.stdout.readline() == b"launched\n"
        assert launched == (mode == "lives")
        yield process
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)


def recorded_handles(driver: ExecutorDriver) -> dict[int, Handle | None]:
    """The handles that the earlier daemon recorded."""
    return {int(key): text for key, text in json.loads((driver.cwd / "handles.json").read_text()).items()}


def open_resources() -> tuple[int, int]:
    """How many files this process has open, and how many of its threads wait for ends of jobs."""
    gc.collect()  # garbage of earlier tests
    notifiers = [thread for thread in threading.enumerate() if thread.name == "exit-notifier"]
    return len(os.listdir("/proc/self/fd")), len(notifiers)
