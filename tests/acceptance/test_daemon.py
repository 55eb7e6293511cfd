"""The real daemon, real jobs, a real lake: from request to done, through misbehaviour and a pause."""

import datetime as dt
import json
import signal
import time

from backfilld.demo import misbehaviour_switches
from tests.acceptance.daemon import FEW, ONE_OF_EACH, daemon, jobs_alive

SEASON = ("2021-10-19", "2021-10-27")
MISBEHAVIOURS = {
    "2021-10-19": ("nothing", "blocked", "no data"),
    "2021-10-20": ("partial", "exhausted", "2 of 22 rows"),
    "2021-10-21": ("duplicates", "exhausted", "12 rows, at most 6 for 3 games"),
    "2021-10-22": ("fail", "exhausted", "failed"),
    "2021-10-23": ("unclosed", "bootstrap", ""),
    "2021-10-24": ("crash", "bootstrap", ""),
    "2021-10-25": ("exit1", "bootstrap", ""),
}
"""What a job of each date does, and the outcome and reason of the date."""
TOLERANT = {
    "max_attempts = 3": "max_attempts = 3\nbreaker_threshold = 0",
    'name = "nbac_team_boxscore"': 'name = "nbac_team_boxscore"\nidle_timeout = "5s"\nmax_attempts = 10',
}
"""No circuit breaker; the job that hangs ends soon, and may be ended again where the machine is slow."""


def test_every_misbehaviour_ends_where_it_should_with_figures_and_no_process_is_left(tmp_path):
    with daemon(tmp_path / "d", changes=TOLERANT, processors=ONE_OF_EACH) as one:
        # Given a job of each date that misbehaves, one that hangs, and one that writes no history
        for date, (kind, _, _) in MISBEHAVIOURS.items():
            misbehaviour_switches.switch(
                one.lake, "team_offense_game_summary", dt.date.fromisoformat(date), kind
            )
        misbehaviour_switches.switch(one.lake, "nbac_team_boxscore", dt.date(2021, 10, 24), "hang", times=1)
        misbehaviour_switches.switch(one.lake, "nbac_team_boxscore", dt.date(2021, 10, 23), "no_history")
        # When all dates have ended
        one.finish(one.enqueue(min(MISBEHAVIOURS), max(MISBEHAVIOURS)))
        # Then each ended as its job's output says, with the figures
        for date, (kind, outcome, reason) in MISBEHAVIOURS.items():
            shown = one.client.get(f"/v1/dates/{date}")
            assert shown["outcome"] == outcome, (kind, json.dumps(shown["processors"], indent=1))
            assert reason in (shown["reason"] or ""), kind
        # And the job that hung was ended with its child
        assert "idle" in [a["status"] for a in one.client.get("/v1/dates/2021-10-24")["attempts"]]
        one.wait_for(lambda: not jobs_alive(one.folder), "rid of all jobs")


def test_a_pause_survives_a_restart_and_cancel_leaves_no_process(tmp_path):
    with daemon(tmp_path / "d", pace="0.5", processors=FEW) as one:
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
