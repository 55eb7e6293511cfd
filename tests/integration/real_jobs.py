"""Real jobs for the local executor's tests: start, wait with a deadline, see what lives, leave nothing."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from backfilld.daemon.executors.adapter import Handle, Job, JobResult, JobStatus
from backfilld.daemon.executors.local.executor import LocalExecutor
from backfilld.daemon.executors.local.process import stat
from tests.timeouts import PATIENCE

HELPER = """
import json, os, sys
from pathlib import Path
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.local.executor import LocalExecutor

root, cwd, handle_file, mode, script = sys.argv[1:]

def record(handles):
    if mode == "dies before the record":
        os._exit(9)
    Path(handle_file).write_text(json.dumps({str(attempt): handle for attempt, handle in handles.items()}))
    if mode == "dies after the record":
        os._exit(9)

local = LocalExecutor(Path(root))
local.launch([Job(attempt=1, argv=("sh", "-c", script), cwd=Path(cwd))], record)
print("launched", flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], object], what: str = "it") -> None:
    """Wait for the condition, and fail when it does not come."""
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at, f"waited too long for {what}"
        time.sleep(0.002)


def lives(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    facts = stat(pid)
    return facts is not None and facts.state not in "ZX"


class Bench:
    """A local executor with its wake-up and its records, driven as the engine drives it."""

    def __init__(self, root: Path, cwd: Path) -> None:
        self.cwd = cwd
        self.ends = threading.Event()
        self.handles: dict[int, Handle] = {}
        self.records = 0
        self.local = LocalExecutor(root, on_end=self.ends.set)

    def record(self, handles: Mapping[int, Handle]) -> None:
        self.records += 1
        self.handles.update(handles)

    def job(self, *argv: str, attempt: int = 1, **more: object) -> Job:
        return Job(attempt=attempt, argv=argv, cwd=self.cwd, **more)  # type: ignore[arg-type]

    def launch(self, *argv: str, attempt: int = 1, **more: object) -> None:
        self.local.launch([self.job(*argv, attempt=attempt, **more)], self.record)

    def shell(self, script: str, *, attempt: int = 1, **more: object) -> None:
        self.launch("sh", "-c", script, attempt=attempt, **more)

    def observations(self, count: int = 1) -> list[JobStatus]:
        """Wait, woken by the executor, until so many attempts have ended."""
        ended: list[JobStatus] = []
        give_up_at = time.monotonic() + PATIENCE
        while len(ended) < count:
            assert time.monotonic() < give_up_at, f"only {len(ended)} of {count} ended"
            self.ends.wait(PATIENCE)
            self.ends.clear()
            ended += [seen for seen in self.local.poll() if seen.exit]
        return ended

    def exit(self) -> JobResult:
        """Wait for the end of the one attempt under way."""
        (seen,) = self.observations()
        assert seen.exit
        return seen.exit

    def run(self, *argv: str, **more: object) -> JobResult:
        self.launch(*argv, **more)  # type: ignore[arg-type]
        return self.exit()

    def output(self, attempt: int = 1) -> str:
        return self.local.log(attempt).read_text()

    def pid(self, name: str) -> int:
        """Wait for the pid that a job's process wrote to a file in the working directory."""
        file = self.cwd / name
        until(lambda: file.exists() and file.read_text().endswith("\n"), f"the pid file {name}")
        return int(file.read_text())

    def clean(self) -> None:
        for seen in self.local.poll():
            self.local.stop(seen.attempt, 0)
        until(lambda: all(seen.exit for seen in self.local.poll()), "the jobs to end")
        self.local.close()


@contextmanager
def earlier_daemon(bench: Bench, script: str, mode: str = "lives") -> Iterator[subprocess.Popen[bytes]]:
    """Another process that launches attempt 1 on the same root; its handles go to `handles.json`."""
    helper = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HELPER,
            str(bench.local.log(1).parent.parent),
            str(bench.cwd),
            str(bench.cwd / "handles.json"),
            mode,
            script,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with helper:
        assert helper.stdout is not None
        launched = helper.stdout.readline() == b"launched\n"
        assert launched == (mode == "lives")
        yield helper
        if helper.poll() is None:
            helper.send_signal(signal.SIGKILL)


def handles(bench: Bench) -> dict[int, Handle | None]:
    """What the earlier daemon recorded."""
    return {int(key): text for key, text in json.loads((bench.cwd / "handles.json").read_text()).items()}


def changed(handle: Handle | None, **fields: object) -> Handle:
    """A handle with other facts in it."""
    assert handle is not None
    return json.dumps(json.loads(handle) | fields)


def held() -> tuple[int, int]:
    """How many files this process holds open, and how many threads wait in it for ends of jobs."""
    gc.collect()  # what earlier tests have let go of
    watchers = [thread for thread in threading.enumerate() if thread.name == "job-watcher"]
    return len(os.listdir("/proc/self/fd")), len(watchers)
