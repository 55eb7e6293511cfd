"""A real Dask scheduler and real workers, each a process of its own that can be killed alone."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from distributed import Scheduler, SchedulerPlugin

from backfilld.daemon.executors.dask.connection import SchedulerClient, connect
from backfilld.daemon.executors.dask.executor import DaskExecutor
from backfilld.daemon.executors.dask.settings import DaskSettings
from tests.fork_server import ForkedProcess
from tests.hosts import LOOPBACK, Host
from tests.integration.executor_driver import ExecutorDriver
from tests.ports import free_port
from tests.timeouts import PATIENCE

Process = subprocess.Popen[bytes] | ForkedProcess

WAITS = "echo $$ >leader; echo begun; until test -e end; do sleep 0.05; done; echo done; exit 7"


def free_address() -> str:
    """Where no scheduler listens now."""
    return f"tcp://127.0.0.1:{free_port()}"


class Cluster:
    """Starts and kills a scheduler and its workers; the scheduler's port outlives it."""

    def __init__(self, folder: Path, host: Host, env: Mapping[str, str]) -> None:
        self.folder = folder
        self.host = host
        self.env = env
        self.address = f"tcp://{host.address}:8786" if host is not LOOPBACK else free_address()
        self.started: list[Process] = []
        self.drivers = contextlib.ExitStack()

    def scheduler(self) -> Process:
        words = ["--port", self.address.rpartition(":")[2], "--no-show"]
        return self._start("dask_scheduler", self.host, *words)

    def worker(self, *options: str, host: Host = LOOPBACK) -> Process:
        words = ["--local-directory", str(self.folder), "--no-nanny", "--nthreads", "2", *options]
        return self._start("dask_worker", host, self.address, *words)

    def _start(self, module: str, host: Host, *words: str) -> Process:
        """Start a program of Dask, forked unless it needs a host or an environment of its own."""
        words = (f"distributed.cli.{module}", "--host", host.address, "--no-dashboard", *words)
        output = self.folder / f"{module}.log"
        process = (
            self._interpreter(host, words, output) if self.env or host.words else self._fork(words, output)
        )
        self.started.append(process)
        return process

    def _fork(self, words: Sequence[str], output: Path) -> ForkedProcess:
        return ForkedProcess(words, os.environ, output, self.folder)

    def _interpreter(self, host: Host, words: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        command = [*host.words, sys.executable, "-W", "ignore", "-m", *words]
        with output.open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, **self.env}, cwd=self.folder
            )

    def client(self) -> SchedulerClient:
        """A client of the scheduler, once it serves."""
        give_up_at = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError):
                return connect(self.address)
            assert time.monotonic() < give_up_at, "no scheduler"

    def ready(self, workers: int) -> None:
        """Wait until so many workers serve."""
        with self.client() as client:
            client.wait_for_workers(workers, timeout=PATIENCE)

    def kept(self) -> list[str]:
        """What the scheduler keeps of jobs: published names, tasks and gates."""

        def known(dask_scheduler: Scheduler) -> list[str]:
            gates = [f"gate of {key}" for key in dask_scheduler.extensions["queues"].queues]
            return [*dask_scheduler.tasks, *gates]

        with self.client() as client:
            return [*client.list_datasets(), *client.run_on_scheduler(known)]

    def disturb_a_greeting(self) -> None:
        """Have the next client greeted together with other news, as when another cancels a task just then."""

        class Disturbance(SchedulerPlugin):  # type: ignore[misc]
            def add_client(self, scheduler: Scheduler, client: str) -> None:
                scheduler.remove_plugin("disturbance")
                scheduler.loop.add_callback(scheduler.report, {"op": "cancelled-keys", "keys": []})

        with self.client() as client:
            client.register_plugin(Disturbance(), name="disturbance")

    def end(self) -> None:
        for process in reversed(self.started):
            process.kill()
            process.wait()


@contextlib.contextmanager
def running(
    folder: Path, workers: int = 1, *, host: Host = LOOPBACK, env: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A cluster of a scheduler on a host and some workers here, ended with the context."""
    folder.mkdir(exist_ok=True)
    cluster = Cluster(folder, host, env or {})
    try:
        cluster.scheduler()
        for _ in range(workers):
            cluster.worker()
        if workers:
            cluster.ready(workers)
        with cluster.drivers:
            yield cluster
    finally:
        cluster.end()


@contextlib.contextmanager
def dask_driver(root: Path, cwd: Path, address: str, **resources: float) -> Iterator[ExecutorDriver]:
    """A Dask executor with its logs under `root`, closed with the context.

    One that a failed test left open would go on to look for its scheduler, at intervals that Dask draws
    from the module `random`: Hypothesis would take that for the strategy of a later test.
    """
    settings = DaskSettings(scheduler=address, resources=resources)
    driver = ExecutorDriver(cwd, lambda on_end: DaskExecutor(root, settings, on_end=on_end))
    try:
        yield driver
    finally:
        driver.executor.close()


def driver_of(cluster: Cluster, folder: Path, **resources: float) -> ExecutorDriver:
    """A Dask executor on that cluster, with its files under `folder`; closed before the cluster ends."""
    cwd = folder / "cwd"
    cwd.mkdir()
    return cluster.drivers.enter_context(dask_driver(folder / "attempts", cwd, cluster.address, **resources))
