"""A real daemon with two jobs on Cloud Run, killed after it asked for one and before it heard of it."""

import contextlib
import signal
import sqlite3
import sys
import threading

from tests.acceptance.daemon import FEW, daemon
from tests.integration.cloud_run.stub import refuse, serving

DAY, NEXT = "2021-10-19", "2021-10-20"
JOBS = "backfilld.demo.jobs"
REMOTE = ("nbac_team_boxscore", "team_offense_game_summary")


def attempts(one):
    """All attempts on Cloud Run, the oldest first."""
    with contextlib.closing(sqlite3.connect(one.state / "state.db")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM attempts WHERE executor = 'cloud-run' ORDER BY id").fetchall()


def changes_for(address):
    """What puts the jobs there, with the interpreter of the image."""
    place = (
        f'[executor.cloud-run]\nproject = "p"\nregion = "us-west2"\nlook = "0.1s"\nendpoint = "{address}"\n'
    )
    away = {f'name = "{name}"\n': f'name = "{name}"\nexecutor = "cloud-run"\n' for name in REMOTE}
    python = {f'"{{python}}", "-m", "{JOBS}.{n}"': f'"{sys.executable}", "-m", "{JOBS}.{n}"' for n in REMOTE}
    return {**away, **python, "[jobs]\n": f"{place}\n[jobs]\n"}


def waiting_on(one, date):
    """What a date waits for, in a sentence."""
    return one.client.get(f"/v1/dates/{date}")["waiting_on"] or ""


def told(one, row):
    """An attempt as the API shows it: processor, status, exit code, what Cloud Run and the job say."""
    shown = one.client.get(f"/v1/attempts/{row['id']}")
    log, _ = one.client.text(f"/v1/attempts/{row['id']}/log")
    _, _, completed, *output = log.splitlines()
    return shown["processor"], shown["status"], shown["exit_code"], completed, output[-1:]


def kill_last(api):
    """Abort the execution that has just begun. SIGKILL would say that its memory was used up."""
    list(api.executions.values())[-1].kill(signal.SIGABRT)


def refusing(status, message):
    def refuses(method, path):
        raise refuse(status, message)

    return refuses


def test_an_execution_begins_once_though_the_daemon_dies_and_the_api_is_away(tmp_path):
    with (
        serving(tmp_path / "d", *(name.replace("_", "-") for name in REMOTE)) as api,
        daemon(tmp_path / "d", changes=changes_for(api.address), processors=FEW) as one,
    ):
        # When the daemon is killed after the first execution has begun, and before it hears of it
        heard = threading.Event()
        api.after = lambda method, path: path.endswith(":run") and heard.wait()
        number = one.enqueue(DAY, DAY)
        one.wait_for(lambda: api.executions, "an execution")
        one.signal(signal.SIGKILL)
        heard.set()
        # Then the next one waits while nobody may look, and says why
        api.before = refusing(403, "Permission denied")
        one.start()
        first = attempts(one)[0]["id"]
        why = f"attempt {first} of {REMOTE[0]}: Cloud Run answers 403: Permission denied"
        one.wait_for(lambda: why in waiting_on(one, DAY), why)
        # And finds the execution when it may, and asks for no other; the next job's first try is killed
        api.after = lambda method, path: path.endswith(":run") and len(api.executions) == 2 and kill_last(api)
        api.before = lambda method, path: None
        one.finish(number)
        assert one.outcomes(DAY, DAY) == {DAY: "bootstrap"}
        first, second, third = [told(one, row) for row in attempts(one)]
        well = (0, "Completed: Execution completed successfully.")
        assert first[:4] == (REMOTE[0], "exited", *well)
        assert second == (REMOTE[1], "exited", 134, "Completed: The container exited with an error.", [])
        assert third[:4] == (REMOTE[1], "exited", *well)
        assert [line.endswith("done: 1 date processed") for line in (*first[4], *third[4])] == [True, True]
        assert len(api.executions) == len(api.runs) == 3
        # When what waits to begin is cancelled, it never begins
        api.before = refusing(429, "Quota exceeded")
        number = one.enqueue(NEXT, NEXT)
        one.wait_for(lambda: "429: Quota exceeded" in waiting_on(one, NEXT), "waiting to begin")
        one.client.post(f"/v1/backfills/{number}/cancel", {})
        one.finish(number)
        assert [row["status"] for row in attempts(one)[3:]] == ["cancelled"]
        assert len(api.executions) == 3
        assert one.signal(signal.SIGTERM) == 0
