"""A real daemon whose sources run on a real Dask cluster, while the daemon and a worker are killed."""

import signal

from tests.acceptance.on_dask import REMOTE, at_gate, attempts, daemon_on, overlaps, results
from tests.integration.dask_cluster import running

DAY = "2021-10-19"


def test_jobs_on_a_cluster_survive_the_daemon_and_are_run_anew_when_a_worker_dies(tmp_path):
    with running(tmp_path / "dask", workers=0) as cluster:
        doomed, _ = cluster.worker("--nthreads", "1"), cluster.worker("--nthreads", "1")
        cluster.ready(2)
        with daemon_on(cluster.address, tmp_path / "d", pace="0", gated=True) as one:
            number = one.enqueue(DAY, DAY)
            # When the daemon is killed while both jobs run, and one of the workers too
            one.wait_for(lambda: at_gate(one) == set(REMOTE), "running on the cluster")
            one.signal(signal.SIGKILL)
            doomed.kill()
            one.start()
            (one.folder / "go").touch()
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
