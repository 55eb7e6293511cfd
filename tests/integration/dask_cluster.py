"""A real Dask scheduler and real workers on loopback, each a process of its own that can be killed alone."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from distributed import Client, Scheduler

from daemon.executors import Exit, Handle, Job, Observation
from daemon.executors.dask import Dask
from state.sources import DaskCluster
from tests.integration.real_jobs import until

DEADLINE = 60.0


def free_address() -> str:
    """Where no scheduler listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


class Cluster:
    """Starts and kills a scheduler and its workers; the scheduler's port outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = free_address()
        self.started: list[subprocess.Popen[bytes]] = []

    def scheduler(self) -> subprocess.Popen[bytes]:
        where = ["--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]]
        return self._start("dask_scheduler", *where, "--no-dashboard", "--no-show")

    def worker(self, *options: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        where = ["--host", "127.0.0.1", "--local-directory", str(self.folder), "--no-dashboard"]
        words = [self.address, *where, "--no-nanny", "--nthreads", "2", *options]
        return self._start("dask_worker", *words, env=env)

    def _start(self, module: str, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / f"{module}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", f"distributed.cli.{module}", *words],
                stdout=log,
                stderr=log,
                env={**os.environ, **(env or {})},
                cwd=self.folder,
            )
        self.started.append(process)
        return process

    def ready(self, workers: int) -> None:
        """Wait until so many workers serve."""
        give_up_at = time.monotonic() + DEADLINE
        while True:
            with (
                contextlib.suppress(OSError),
                Client(self.address, timeout=5, set_as_default=False) as client,
            ):
                return client.wait_for_workers(workers, timeout=DEADLINE)
            assert time.monotonic() < give_up_at, "no scheduler"

    def kept(self) -> list[str]:
        """What the scheduler keeps of jobs: published names, tasks and gates."""

        def known(dask_scheduler: Scheduler) -> list[str]:
            gates = [f"gate of {key}" for key in dask_scheduler.extensions["queues"].queues]
            return [*dask_scheduler.tasks, *gates]

        with Client(self.address, timeout=5, set_as_default=False) as client:
            return [*client.list_datasets(), *client.run_on_scheduler(known)]

    def end(self) -> None:
        for process in reversed(self.started):
            process.kill()
            process.wait()


@contextlib.contextmanager
def running(folder: Path, workers: int = 1) -> Iterator[Cluster]:
    """A cluster of a scheduler and some workers, ended with the context."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder)
    try:
        cluster.scheduler()
        for _ in range(workers):
            cluster.worker()
        if workers:
            cluster.ready(workers)
        yield cluster
    finally:
        cluster.end()


class Hand:
    """A Dask executor with its wake-up and its records, driven as the engine drives it."""

    def __init__(self, root: Path, cwd: Path, address: str, resource: str | None = None) -> None:
        self.root, self.cwd = root, cwd
        self.cluster = DaskCluster(scheduler=address, resource=resource)
        self.handles: dict[int, Handle] = {}
        self.ends = threading.Event()
        self.dask = self.again()

    def again(self) -> Dask:
        """An executor as the next daemon has it."""
        self.dask = Dask(self.root, self.cluster, on_end=self.ends.set)
        return self.dask

    def shell(self, script: str, *, attempt: int = 1) -> None:
        job = Job(attempt=attempt, argv=("sh", "-c", script), cwd=self.cwd, env={"GIVEN": "to the job"})
        self.dask.launch([job], self.handles.update)

    def seen(self) -> Observation | None:
        """The one attempt under way; its end too."""
        return next(iter(self.dask.poll()), None)

    def exit(self) -> Exit:
        """Wait, woken by the executor, for the end of the one attempt under way."""
        give_up_at = time.monotonic() + DEADLINE
        while time.monotonic() < give_up_at:
            for seen in self.dask.poll():
                if seen.exit:
                    return seen.exit
            self.ends.wait(1.0)
            self.ends.clear()
        raise AssertionError("it does not end")

    def output(self, attempt: int = 1) -> str:
        log = self.dask.log(attempt)
        return log.read_text() if log.exists() else ""

    def pid(self, name: str) -> int:
        """Wait for the pid that a job's process wrote to a file in the working directory."""
        file = self.cwd / name
        until(lambda: file.exists() and file.read_text().endswith("\n"), f"the pid file {name}")
        return int(file.read_text())
