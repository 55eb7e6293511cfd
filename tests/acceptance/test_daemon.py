"""The real daemon, real jobs, a real lake: from request to done, through kills and misbehaviour."""

import datetime as dt
import json
import signal
import time
from collections import Counter

import pytest

from backfilld.demo import misbehaviour
from tests.acceptance.audit import overlaps
from tests.acceptance.daemon import daemon, jobs_alive

SEASON = ("2021-10-19", "2021-10-27")


def test_a_kill_in_the_middle_changes_nothing(tmp_path):
    with daemon(tmp_path / "d", pace="0.3") as one:
        number = one.enqueue(*SEASON)
        one.wait_for(lambda: jobs_alive(one.folder), "running")
        one.signal(signal.SIGKILL)
        one.start()
        one.finish(number)
        assert Counter(one.outcomes(*SEASON).values()) == {"bootstrap": 7, "complete": 2}
        assert not overlaps(one.lake)
        assert not jobs_alive(one.folder)


def test_sigterm_ends_the_daemon_in_order_and_leaves_jobs_to_be_adopted(tmp_path):
    with daemon(tmp_path / "d", pace="1") as one:
        number = one.enqueue("2021-10-19", "2021-10-20")
        one.wait_for(lambda: one.client.get("/v1/attempts", status="running")["items"], "running")
        assert one.signal(signal.SIGTERM) == 0
        assert "stopped" in one.log()
        one.start()
        one.finish(number)
        assert not overlaps(one.lake)


@pytest.mark.parametrize(
    ("kind", "processor", "outcome", "reason"),
    [
        ("nothing", "team_offense_game_summary", "blocked", "no data"),
        ("partial", "team_offense_game_summary", "exhausted", "2 of 12 rows"),
        ("duplicates", "team_offense_game_summary", "exhausted", "24 rows, at most 12 for 6 games"),
        ("fail", "team_offense_game_summary", "exhausted", "failed"),
        ("unclosed", "team_offense_game_summary", "bootstrap", ""),
        ("crash", "team_offense_game_summary", "bootstrap", ""),
        ("exit1", "team_offense_game_summary", "bootstrap", ""),
        ("no_history", "team_offense_game_summary", "bootstrap", ""),
    ],
)
def test_every_misbehaviour_ends_where_it_should_with_figures(tmp_path, kind, processor, outcome, reason):
    with daemon(tmp_path / "d") as one:
        misbehaviour.switch(one.lake, processor, dt.date(2021, 10, 24), kind)
        number = one.enqueue("2021-10-24", "2021-10-24")
        one.finish(number)
        shown = one.client.get("/v1/dates/2021-10-24")
        assert shown["outcome"] == outcome, json.dumps(shown["processors"], indent=1)
        assert reason in (shown["reason"] or "")


def test_a_hang_leaves_no_process_behind(tmp_path):
    with daemon(tmp_path / "d", changes={'idle_timeout = "5m"': 'idle_timeout = "2s"'}) as one:
        misbehaviour.switch(one.lake, "nbac_team_boxscore", dt.date(2021, 10, 19), "hang", times=1)
        number = one.enqueue("2021-10-19", "2021-10-19")
        one.finish(number)
        assert "idle" in [a["status"] for a in one.client.get("/v1/dates/2021-10-19")["attempts"]]
        one.wait_for(lambda: not jobs_alive(one.folder), "rid of all jobs")


def test_a_pause_survives_a_restart_and_cancel_leaves_no_process(tmp_path):
    with daemon(tmp_path / "d", pace="0.5") as one:
        number = one.enqueue(*SEASON)
        one.wait_for(lambda: one.client.get("/v1/attempts", status="running")["items"], "running")
        one.client.post("/v1/pause", {"reason": "lunch"})
        one.signal(signal.SIGKILL)
        one.start()
        one.wait_for(lambda: not one.client.get("/v1/attempts", status="running")["items"], "quiet")
        before = len(list(one.client.all("/v1/attempts")))
        time.sleep(1)
        assert len(list(one.client.all("/v1/attempts"))) == before
        one.client.post("/v1/resume")
        one.wait_for(lambda: one.client.get("/v1/attempts", status="running")["items"], "running again")
        one.client.post(f"/v1/backfills/{number}/cancel")
        one.finish(number)
        assert not jobs_alive(one.folder)
        assert set(one.outcomes(*SEASON).values()) <= {"cancelled", "bootstrap", "complete"}
