"""A real daemon whose sources run on a real Dask cluster, while the daemon and a worker are killed."""

import signal

from backfilld.demo.run_log import runs
from tests.acceptance.on_dask import REMOTE, attempts, daemon_on, overlaps, results
from tests.integration.dask_cluster import running

DAY = "2021-10-19"


def at_work(one):
    """What runs on the cluster, as the jobs themselves say."""
    return {run.processor for run in runs(one.lake) if run.processor in REMOTE and run.ended is None}


def test_jobs_on_a_cluster_survive_the_daemon_and_are_run_anew_when_a_worker_dies(tmp_path):
    with running(tmp_path / "dask", workers=0) as cluster:
        doomed, _ = cluster.worker("--nthreads", "1"), cluster.worker("--nthreads", "1")
        cluster.ready(2)
        with daemon_on(cluster.address, tmp_path / "d", pace="3") as one:
            number = one.enqueue(DAY, DAY)
            # When the daemon is killed while both jobs run, and one of the workers too
            one.wait_for(lambda: at_work(one) == set(REMOTE), "running on the cluster")
            one.signal(signal.SIGKILL)
            doomed.kill()
            one.start()
            one.finish(number)
            # Then every date is done, and no table had two writers at once
            assert set(one.outcomes(DAY, DAY).values()) == {"bootstrap"}
            rows = attempts(one)
            assert {row["processor"] for row in rows} == set(REMOTE)
            assert not overlaps(rows)
            # And what ran to its end tells the same as a local job
            assert [row["status"] for row in rows].count("lost") == 1
            assert sorted(results(rows[:2])) == ["exited 0", "lost"]
            for attempt in [row["id"] for row in rows if row["status"] == "exited"]:
                told = one.client.get(f"/v1/attempts/{attempt}")
                assert (told["exit_code"], told["detail"] or "") == (0, "")
                assert one.client.text(f"/v1/attempts/{attempt}/log")
            assert one.signal(signal.SIGTERM) == 0
