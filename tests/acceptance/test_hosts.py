"""A Dask cluster on several hosts, which are cut off in mid-job. `make test-hosts` runs these, as root."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.on_dask import REMOTE, at_gate, attempts, daemon_on, overlaps, results
from tests.hosts import Host, joined
from tests.integration.dask_cluster import Cluster, dask_driver, running
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import local_driver
from tests.integration.real_jobs import lives, until
from tests.timeouts import PATIENCE

pytestmark = pytest.mark.hosts

DAY, NEXT_DAY = "2021-10-19", "2021-10-20"
SILENCE = 11.0
"""Seconds after which Dask takes a silent connection for dead; it allows no fewer."""
SHORT = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": f"{SILENCE:g}s"}
DEFAULT: dict[str, str] = {}
ONE = ("--nthreads", "1")
WAITS = "echo $$ >leader; echo begun; until test -e end; do sleep 0.05; done; echo done; exit 7"
TELLS = "echo out; echo err >&2; ip -4 -o addr show up >where; exit 3"


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[Host]]:
    """A scheduler's host and two for workers."""
    with joined(3) as found:
        yield found


@pytest.fixture
def cluster(hosts: list[Host], tmp_path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A scheduler and, on a host of its own each, two workers of one job at a time. All cables are in."""
    env = getattr(request, "param", SHORT)
    with running(tmp_path / "dask", workers=0, host=hosts[0], env=env) as found:
        for host in hosts[1:]:
            found.worker(*ONE, "--resources", f"host{hosts.index(host)}=1", host=host)
        found.ready(2)
        yield found
    for host in hosts:
        host.join()


@contextmanager
def on(cluster: Cluster, folder, resource: str) -> Iterator[ExecutorDriver]:
    """A driver whose jobs run on the workers with that resource."""
    (folder / resource).mkdir()
    root = folder / f"{resource}-attempts"
    with dask_driver(root, folder / resource, cluster.address, **{resource: 1}) as driver:
        yield driver


def begun(driver: ExecutorDriver) -> int:
    """Wait until the job is seen at work; its process."""
    pid = driver.pid("leader")
    until(lambda: driver.output() == "begun\n", "the first output")
    return pid


def test_a_job_on_a_far_host_tells_the_same_as_one_here(cluster, hosts, tmp_path):
    driver = local_driver(tmp_path / "local", tmp_path)
    driver.shell(TELLS)
    here = driver.result()
    with on(cluster, tmp_path, "host2") as far:
        far.shell(TELLS)
        there = far.result()
        assert hosts[2].address in (far.cwd / "where").read_text()
        assert (
            (there.code, there.detail, there.counts_as_attempt)
            == (here.code, here.detail, here.counts_as_attempt)
            == (3, "", True)
        )
        assert far.output() == driver.output() == "out\nerr\n"
    driver.stop_all()


@pytest.mark.parametrize("cluster", [DEFAULT], ids=["patient"], indirect=True)
@pytest.mark.parametrize("ends", ["while away", "when back"])
def test_a_host_that_is_away_for_a_moment_hides_its_job_and_nobody_elses(cluster, hosts, tmp_path, ends):
    with on(cluster, tmp_path, "host1") as cut, on(cluster, tmp_path, "host2") as other:
        cut.shell(WAITS)
        begun(cut)
        hosts[1].cut()
        # Then its job is out of sight, by the worker's name, while the job of another host is seen to its end
        until(lambda: cut.status().unreachable_at.startswith(f"tcp://{hosts[1].address}:"), "out of sight")
        other.shell("echo quick; exit 4")
        assert (other.result().code, other.output()) == (4, "quick\n")
        assert cut.status().result is None
        # When the host is back, the job tells how it ends, or ended
        if ends == "while away":
            (cut.cwd / "end").touch()
        hosts[1].join()
        if ends == "when back":
            until(lambda: not cut.status().unreachable_at, "in sight")
            (cut.cwd / "end").touch()
        assert (cut.result().code, cut.output()) == (7, "begun\ndone\n")


def test_a_host_that_stays_away_loses_its_job_and_ends_it_by_itself(cluster, hosts, tmp_path):
    with on(cluster, tmp_path, "host1") as cut:
        cut.shell(WAITS)
        leader = begun(cut)
        hosts[1].cut()
        began = time.monotonic()
        end = cut.result()
        assert time.monotonic() - began > SILENCE / 2, "a silence is not a death"
        assert end.detail.startswith("lost: its worker")
        until(lambda: not lives(leader), "the host to end its job, cut off as it is")
        # When it comes back, nothing of the job does, and a new worker there takes the next
        hosts[1].join()
        cluster.worker(*ONE, "--resources", "host1=1", host=hosts[1])
        cut.shell("exit 9", attempt=2)
        assert cut.result().code == 9
        assert cut.output() == "begun\n"


def test_a_date_goes_on_without_the_host_that_had_its_job(cluster, hosts, tmp_path):
    with daemon_on(cluster.address, tmp_path / "d", gated=True) as one:
        number = one.enqueue(DAY, DAY)
        one.wait_for(lambda: at_gate(one) == set(REMOTE), "running on both hosts")
        hosts[1].cut()
        away = f"out of sight, at tcp://{hosts[1].address}:"
        one.wait_for(lambda: away in one.client.get(f"/v1/dates/{DAY}")["waiting_on"], "out of sight")
        one.signal(signal.SIGKILL)
        one.start()
        # When the host that was cut off has ended its job by itself, and jobs go on
        cluster.started[1].wait(timeout=PATIENCE)
        (one.folder / "go").touch()
        one.finish(number)
        assert set(one.outcomes(DAY, DAY).values()) == {"bootstrap"}
        rows = attempts(one)
        assert not overlaps(rows)
        assert sorted(results(rows)) == ["exited 0", "exited 0", "lost"]
        (lost,) = (row for row in rows if row["status"] == "lost")
        assert lost["detail"].startswith(f"lost: its worker tcp://{hosts[1].address}:")


def test_a_scheduler_that_is_cut_off_is_waited_for_across_a_restart(cluster, hosts, tmp_path):
    with daemon_on(cluster.address, tmp_path / "d", gated=True) as one:
        first = one.enqueue(DAY, DAY)
        one.wait_for(lambda: at_gate(one) == set(REMOTE), "running on both hosts")
        hosts[0].cut()
        one.signal(signal.SIGKILL)
        one.start()
        # Then the running jobs are out of sight, and what could begin does not: no attempt is wasted
        second = one.enqueue(NEXT_DAY, NEXT_DAY)
        tells = {
            DAY: f"out of sight, at {cluster.address}",
            NEXT_DAY: f"a Dask scheduler that answers at {cluster.address}",
        }
        for day, words in tells.items():
            one.wait_for(lambda d=day, w=words: w in one.client.get(f"/v1/dates/{d}")["waiting_on"], words)
        for worker in cluster.started[1:]:
            worker.wait(timeout=PATIENCE)
        assert len(attempts(one)) == 2
        (one.folder / "go").touch()
        # When it is back, and workers are started again, as a supervisor does it
        hosts[0].join()
        for host in hosts[1:]:
            cluster.worker(*ONE, host=host)
        one.finish(first)
        one.finish(second)
        assert set(one.outcomes(DAY, NEXT_DAY).values()) == {"bootstrap"}
        rows = attempts(one)
        assert not overlaps(rows)
        assert results(rows) == ["lost", "lost", *["exited 0"] * 4]
        assert {row["processor"] for row in rows} == set(REMOTE)
