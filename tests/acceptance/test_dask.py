"""A real daemon whose sources run on a real Dask cluster, while the daemon and a worker are killed."""

import itertools
import signal
import sqlite3
from contextlib import closing

from tests.acceptance.daemon import daemon
from tests.integration.dask_cluster import running

DAY = "2021-10-19"
REMOTE = ("nbac_gamebook_player_stats", "nbac_team_boxscore")


def attempts(one):
    """All attempts on the cluster, the oldest first."""
    with closing(sqlite3.connect(one.state / "state.db")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM attempts WHERE executor = 'dask' ORDER BY id").fetchall()


def writing(one):
    """The cluster's running jobs whose output is here already."""
    rows = [row for row in attempts(one) if row["status"] == "running"]
    logs = [one.state / "attempts" / "000" / f"{row['id']}.log" for row in rows]
    return [log for log in logs if log.exists() and log.stat().st_size]


def test_jobs_on_a_cluster_survive_the_daemon_and_are_run_anew_when_a_worker_dies(tmp_path):
    with running(tmp_path / "dask", workers=0) as cluster:
        doomed, _ = cluster.worker("--nthreads", "1"), cluster.worker("--nthreads", "1")
        cluster.ready(2)
        changes = {f'name = "{name}"\n': f'name = "{name}"\nexecutor = "dask"\n' for name in REMOTE}
        changes["[jobs]\n"] = f'[executor.dask]\nscheduler = "{cluster.address}"\n\n[jobs]\n'
        with daemon(tmp_path / "d", pace="1", changes=changes) as one:
            number = one.enqueue(DAY, DAY)
            # When the daemon is killed while both jobs run, and one of the workers too
            one.wait_for(lambda: len(writing(one)) == 2, "running on the cluster")
            one.signal(signal.SIGKILL)
            doomed.kill()
            one.start()
            one.finish(number)
            # Then every date is done, and no table had two writers at once
            assert set(one.outcomes(DAY, DAY).values()) == {"bootstrap"}
            rows = attempts(one)
            assert {row["processor"] for row in rows} == set(REMOTE)
            pairs = itertools.combinations(rows, 2)
            assert not [
                (a["id"], b["id"])
                for a, b in pairs
                if a["output"] == b["output"] and b["started_at"] < a["ended_at"]
            ]
            # And what ran to its end tells the same as a local job
            assert [row["status"] for row in rows].count("lost") == 1
            assert sorted(row["status"] for row in rows[:2]) == ["lost", "succeeded"]
            for attempt in [row["id"] for row in rows if row["status"] == "succeeded"]:
                told = one.client.get(f"/v1/attempts/{attempt}")
                assert (told["exit_code"], told["detail"] or "") == (0, "")
                assert one.client.text(f"/v1/attempts/{attempt}/log")
            assert one.signal(signal.SIGTERM) == 0
