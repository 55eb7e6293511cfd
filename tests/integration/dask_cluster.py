"""A real Dask scheduler and real workers on loopback, each a process of its own that can be killed alone."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from distributed import Client, Scheduler

from daemon.executors.dask import Dask
from state.sources import DaskCluster
from tests.integration.hand import Hand

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


def dask_hand(root: Path, cwd: Path, address: str, resource: str | None = None) -> Hand:
    """A Dask executor, with its logs under `root`."""
    source = DaskCluster(scheduler=address, resource=resource)
    return Hand(cwd, lambda on_end: Dask(root, source, on_end=on_end))
