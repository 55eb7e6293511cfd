"""Connections to a Dask scheduler that fail or hang: nothing of them is left, and none holds up the next."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from distributed import Client
from distributed.utils import LoopRunner
from tornado.tcpclient import TCPClient

from backfilld.daemon import wakeable_task_thread
from backfilld.daemon.executors.dask import client as dask_client
from backfilld.daemon.executors.dask import connection
from backfilld.daemon.executors.dask.client import DaskClient
from backfilld.daemon.executors.dask.connection import SchedulerClient, connect
from backfilld.daemon.executors.dask.settings import DaskSettings
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings
from tests.integration.dask_cluster import Cluster, free_address
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import until
from tests.timeouts import PATIENCE

PIPELINE = """
name = "small"
warehouse = {{ kind = "lake", path = "lake" }}
executor.dask.scheduler = "{scheduler}"
[[phase]]
name = "phase2"
processor = [{{ name = "box", table = "nba.box", command = ["true"] }}]
"""


def loops() -> int:
    """How many event loops of Dask clients run in this process."""
    return sum(thread.name == "IO loop" for thread in threading.enumerate())


def connections(cluster: Cluster) -> int:
    """How many connections to the scheduler are open in this process."""
    port = int(cluster.address.rpartition(":")[2])
    return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.Process().net_connections("tcp"))


def disturbed(cluster: Cluster) -> None:
    cluster.disturb_a_greeting()
    with pytest.raises(ConnectionError, match="greeting"):
        connect(cluster.address)


def unanswered(cluster: Cluster) -> None:
    with pytest.raises(OSError, match="Timed out"):
        connect(free_address())


def without_an_identity(cluster: Cluster) -> None:
    with pytest.MonkeyPatch.context() as away:
        away.setattr(DaskClient, "_identity", None)
        with pytest.raises(TypeError):
            DaskClient(DaskSettings(scheduler=cluster.address), lambda: None)


def cancelled_as_it_succeeds(cluster: Cluster) -> None:
    """Tornado drops what it has connected when its caller is cancelled at that moment."""
    succeeds = TCPClient.connect

    async def cancelled(*args: object, **options: object) -> None:
        await succeeds(*args, **options)
        raise TimeoutError

    with pytest.MonkeyPatch.context() as late:
        late.setattr(TCPClient, "connect", cancelled)
        with pytest.raises(OSError, match="Timed out"):
            connect(cluster.address)


@pytest.mark.parametrize("fails", [disturbed, unanswered, without_an_identity, cancelled_as_it_succeeds])
def test_of_a_connection_that_fails_no_thread_and_no_socket_is_left(
    calm: Cluster, monkeypatch: pytest.MonkeyPatch, fails: Callable[[Cluster], None]
) -> None:
    quick = fails in (unanswered, cancelled_as_it_succeeds)
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.2 if quick else 5.0)
    before = loops(), connections(calm)
    fails(calm)
    assert (loops(), connections(calm)) == before


def test_garbage_of_a_failed_connection_that_is_collected_as_the_next_one_starts_holds_up_nothing(
    calm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = LoopRunner._start_unlocked

    def collects(runner: LoopRunner) -> None:
        gc.collect()
        starts(runner)

    # Given a connection that failed, and garbage that is collected while Dask holds its lock of all clients
    disturbed(calm)
    monkeypatch.setattr(LoopRunner, "_start_unlocked", collects)
    # When the next connection starts
    connected: list[SchedulerClient] = []
    next_one = threading.Thread(target=lambda: connected.append(connect(calm.address)), daemon=True)
    next_one.start()
    next_one.join(PATIENCE)
    # Then it connects
    assert connected
    connected[0].disconnect()


def test_a_connection_whose_close_fails_is_left_to_no_collector(
    calm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = loops(), connections(calm)
    client = connect(calm.address)

    async def hangs(**_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(client, "_close", hangs)
    client.disconnect()
    assert (loops(), connections(calm)) == before


class Hanging:
    """The first connections hang until `release`, each in a thread of its own; later ones do not."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.release = threading.Event()
        self.hangs = True

    def connect(self, scheduler: str) -> Client:
        if self.hangs:
            self.entered.set()
            assert self.release.wait(PATIENCE)
        return connect(scheduler)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Hanging:
    hanging = Hanging()
    monkeypatch.setattr(dask_client, "connect", hanging.connect)
    return hanging


def test_a_connection_that_hangs_is_named_and_replaced(
    hanging: Hanging, driver: ExecutorDriver, calm: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hanging.entered.wait(PATIENCE)
    hanging.hangs = False
    # When it has hung for too long, it is named, and jobs run over another connection
    with monkeypatch.context() as limit:
        limit.setattr(wakeable_task_thread, "STALL_SECONDS", 0.0)
        until(lambda: "hang" in driver.executor.fault or "hung" in driver.executor.fault, "the fault")
    driver.shell("exit 5")
    assert driver.result().code == 5
    before = loops()
    # When it comes to an end after all, it is closed, and no job was begun twice or is lost
    hanging.release.set()
    until(lambda: not driver.executor.fault, "the end of what hung")
    until(lambda: loops() == before, "the end of the late connection")
    driver.shell("exit 6", attempt=2)
    assert driver.result().code == 6


def test_a_connection_that_hangs_is_named_where_the_daemon_tells_of_its_health(
    hanging: Hanging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE.format(scheduler=free_address()))
    service = Service(Settings(pipeline=file, state_dir=tmp_path / "state", host="127.0.0.1", port=0))
    service.start()
    assert hanging.entered.wait(PATIENCE)
    assert service.health()["executor dask"] == ""
    monkeypatch.setattr(wakeable_task_thread, "STALL_SECONDS", 0.0)
    told = "polling Dask fails: its thread hung and was replaced"
    until(lambda: service.health()["executor dask"] == told, told)
    hanging.release.set()
    assert service.stop()
