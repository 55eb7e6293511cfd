"""The real daemon is killed again and again while the real demo runs: nothing is lost, nothing runs twice.

KILL_ROUNDS=100 makes it a long run, KILL_SEED=... one with other moments.
"""

import contextlib
import datetime as dt
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance import audit
from tests.acceptance.daemon import FEW, daemon, jobs_alive

ROUNDS = int(os.environ.get("KILL_ROUNDS", "6"))
DATES = [dt.date(2021, 10, 25) + dt.timedelta(days=n) for n in range(3 if ROUNDS <= 6 else 4)]
"""The last bootstrap date, and those after it, which go through all phases."""
LATER_SEASON = {"opens = 2021-10-19": "opens = 2021-10-25", "bootstrap_days = 7": "bootstrap_days = 1"}
"""The season opens with these dates, so that none before them is waited for."""
_RULE = "expect.rows_per = { games = [30, 40] }"
CHECK = {
    _RULE: f'{_RULE}\nexpect.check = {{ command = ["sh", "-c", "sleep 0.2; echo {{date}} >> checked"] }}'
}
"""One of the sources has a check command, which may be killed too."""
PROCESSORS = (
    *FEW,
    "nbac_gamebook_player_stats",
    "bdl_player_boxscores",
    "player_game_summary",
    "player_shot_zone_analysis",
)
"""Some of each phase, with two steps of the sequential one."""
ALL_END = "kill -9 until all jobs have ended"
WAYS = (ALL_END, "kill -9", "SIGTERM", "SIGTERM twice", "kill -9 at start")


@pytest.fixture
def dice():
    """Random moments."""
    return random.Random(os.environ.get("KILL_SEED", "1"))


def test_kills_lose_nothing_and_run_nothing_twice(tmp_path, dice, database):
    seen = killed(tmp_path / "d", dice, ROUNDS, DATES, database)
    # And there were jobs to be adopted, and jobs that ended while no daemon ran
    assert seen["jobs left alive"] > ROUNDS / 2
    assert seen["jobs that ended unseen"] > 0


def test_kills_lose_nothing_where_the_state_is_in_postgresql(tmp_path, dice, postgresql_server):
    killed(tmp_path / "d", dice, 4, DATES[:2], postgresql_server.empty())


def killed(folder, dice, rounds, dates, database):
    """Go through a run with kills, look whether all is as it should be, and tell what was done to whom."""
    seen = Counter()
    changes = {**LATER_SEASON, **CHECK}
    with daemon(folder, pace="1", database=database, changes=changes, processors=PROCESSORS) as one:
        # Given a run that grows, so that there is work in every round
        growth = [rounds * n // len(dates) for n in range(len(dates))]
        backfills = []
        ways = [WAYS[round_ % len(WAYS)] for round_ in range(1, rounds)]
        dice.shuffle(ways)
        # When the daemon is ended at random moments
        for round_, way in enumerate([ALL_END, *ways]):
            fresh = [date.isoformat() for date, at in zip(dates, growth, strict=True) if at == round_]
            backfills += [one.enqueue(date, date) for date in fresh]
            time.sleep(dice.uniform(0, 0.8))
            if way == ALL_END or dice.random() < 0.7:
                _await_work(one, backfills)
            seen += _end(one, way, dice)
            one.start()
        for number in backfills:
            one.finish(number)
        outcomes = Counter(one.outcomes(dates[0].isoformat(), dates[-1].isoformat()).values())
        assert one.signal(signal.SIGTERM) == 0
        # Then everything is as if nothing had been
        sys.stdout.write(f"{dict(seen)}\n")
        assert outcomes == Counter(bootstrap=1, complete=len(dates) - 1)
        assert not jobs_alive(one.folder)
        assert {*map(str, dates)} <= {*(one.folder / "checked").read_text().split()}
        assert audit.wrong_partitions(one.lake, dates) == []
        assert audit.overlaps(one.lake) == []
        assert audit.out_of_order(one.lake) == []
        assert audit.repeated(one.lake) == {}
        assert audit.wrong_rows(one.database, one.lake) == []
    return seen


@pytest.fixture
def stranger():
    """A process that has nothing to do with any of this."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_after_a_reboot_jobs_run_again_and_the_new_owners_of_their_pids_are_left_alone(tmp_path, stranger):
    with daemon(tmp_path / "d", pace="3", processors=PROCESSORS) as one:
        # Given jobs at work when the machine goes down
        number = one.enqueue(DATES[0].isoformat(), DATES[0].isoformat())
        one.wait_for(lambda: len(audit.run_log.runs(one.lake)) >= 3, "all at work")
        one.signal(signal.SIGKILL)
        for pid in jobs_alive(one.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # When it is up again: another boot for some, and for the others a pid that a stranger has now
        with contextlib.closing(sqlite3.connect(one.state / "state.db")) as db, db:
            for attempt, handle in db.execute("SELECT id, handle FROM attempts").fetchall():
                changes = {"boot": "another"} if attempt % 2 else {"pid": stranger.pid}
                changed = json.dumps(json.loads(handle) | changes)
                db.execute("UPDATE attempts SET handle = ? WHERE id = ?", (changed, attempt))
        one.start()
        one.finish(number)
        # Then they are lost, each with the reason, and run again; the stranger never noticed
        lost = {a["detail"] for a in one.client.get("/v1/attempts", status="lost")["items"]}
        assert lost == {
            "lost: the machine was restarted",
            f"lost: its pid {stranger.pid} now belongs to another process",
        }
        assert stranger.poll() is None
        assert audit.wrong_partitions(one.lake, DATES[:1]) == []
        assert audit.overlaps(one.lake) == []


def _at_work(lake):
    """Whether a job has begun and not ended. Until it begins, running it again would show nowhere."""
    return any(run.ended is None and Path(f"/proc/{run.pid}").exists() for run in audit.run_log.runs(lake))


def _await_work(one, backfills):
    """Wait until jobs run, unless all is done."""

    def over():
        return all(one.status(number) == "finished" for number in backfills)

    one.wait_for(lambda: _at_work(one.lake) or over(), "at work")


def _end(one, way, dice):
    """End the daemon in some way, be away for a moment, and tell what was done to whom."""
    if way == "SIGTERM":
        assert one.signal(signal.SIGTERM) == 0
        assert one.log().rstrip().endswith("stopped")
    elif way == "SIGTERM twice":
        one.process.send_signal(signal.SIGTERM)
        time.sleep(dice.uniform(0, 0.2))
        with contextlib.suppress(ProcessLookupError):
            one.process.send_signal(signal.SIGTERM)
        # In order, at once, or by the signal itself when it comes after all is done
        assert one.ended() in (0, 1, -signal.SIGTERM)
    else:
        one.signal(signal.SIGKILL)
    left = jobs_alive(one.folder)
    if way == ALL_END:
        one.wait_for(lambda: not jobs_alive(one.folder), "rid of all jobs")
    else:
        time.sleep(dice.choice([0, dice.uniform(0, 1)]))
    if way == "kill -9 at start":
        one.launch()
        time.sleep(dice.uniform(0, 1))
        one.signal(signal.SIGKILL)
    ended = set(left) - set(jobs_alive(one.folder))
    return Counter({way: 1, "jobs left alive": len(left), "jobs that ended unseen": len(ended)})
