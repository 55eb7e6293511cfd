"""A real Prometheus beside a real daemon: every query returns series, every fault raises its alert."""

import shutil
import signal
import sqlite3
import time

import pytest

from backfilld.api.cli.client import ApiError
from backfilld.demo import misbehaviour_switches
from tests.acceptance.daemon import daemon
from tests.acceptance.prometheus import hasten, prometheus
from tests.deploy import queries, rules, run
from tests.ports import free_port
from tests.timeouts import PATIENCE

pytestmark = pytest.mark.packages

SOURCES = (
    "nbac_gamebook_player_stats",
    "nbac_team_boxscore",
    "bettingpros_player_points_props",
    "bigdataball_play_by_play",
    "bdl_player_boxscores",
)
RAISED = {rule["alert"] for rule in rules() if "alert" in rule} - {"BackfilldEtaSlipping"}
"""An expected end exists after a minute, and slips within hours: promtool tests that one alone."""


def firing(name):
    return f'ALERTS{{alertname="{name}", alertstate="firing"}}'


def test_dashboard_and_rules_read_what_a_daemon_really_exposes(tmp_path):
    shown = {hasten(query) for query in queries()}
    with daemon(tmp_path / "d", pace="2") as one, prometheus(tmp_path / "p", one.port) as seen:
        # Given a daemon that has nothing to do: no panel of faults has a series
        seen.wait_for('up{job="backfilld"} == 1')
        only_if_positive = [query for query in shown if query.endswith(" > 0")]
        assert len(only_if_positive) == 8
        assert not [query for query in only_if_positive if seen.query(query)]
        break_down(one, seen)
        # Then everything that the dashboard and the rules ask for is there
        for query in shown:
            seen.wait_for(query.removesuffix(" > 0"))
        for name in [rule["record"] for rule in rules() if "record" in rule]:
            seen.wait_for(name)
        run("promtool", "check", "metrics", text=one.client.text("/metrics")[0])
        # When it dies
        one.signal(signal.SIGKILL)
        seen.wait_for(firing("BackfilldDown"))
        # Then every alert has been raised
        assert not seen.sick_rules()
        raised = seen.query('group by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1d]))')
        assert {series["metric"]["alertname"] for series in raised} == RAISED


def break_down(one, seen):
    """Every fault, one after another, each until its alert is raised."""
    # Given jobs of one processor that fail on all dates, and a breaker that looks twice
    one.signal(signal.SIGTERM)
    hasty = one.pipeline.read_text().replace("max_attempts = 3", "max_attempts = 1\nbreaker_threshold = 2")
    one.pipeline.write_text(hasty)
    for source in SOURCES:
        misbehaviour_switches.switch(one.lake, source, None, "hang")
    # And a webhook that nobody listens at
    one.more_environment["BACKFILLD_WEBHOOK"] = f"http://127.0.0.1:{free_port()}/"
    # And a file where the backups should be
    one.more_environment["BACKFILLD_BACKUP_EVERY"] = "1s"
    backups = one.folder / "state" / "backups"
    shutil.rmtree(backups, ignore_errors=True)
    backups.touch()
    one.start()
    seen.wait_for(firing("BackfilldBackupFailing"))
    # When all that was ever begun hangs
    stuck = one.enqueue("2021-10-22", "2021-10-22")
    seen.wait_for(firing("BackfilldNotifyFailing"))
    seen.wait_for(firing("BackfilldStalled"))
    one.client.post(f"/v1/backfills/{stuck}/cancel")
    one.finish(stuck)
    # When dates fail, and the processor is paused
    for source in SOURCES:
        misbehaviour_switches.switch(one.lake, source, None, misbehaviour_switches.WELL)
    misbehaviour_switches.switch(one.lake, "nbac_team_boxscore", None, "fail")
    one.enqueue("2021-10-19", "2021-10-21")
    for name in ("BackfilldDatesFailed", "BackfilldProcessorPaused"):
        seen.wait_for(firing(name))
    # When a date waits for that processor and for nothing else
    one.enqueue("2021-10-23", "2021-10-23")
    seen.wait_for(firing("BackfilldStuck"))
    # When a date that was done no longer is, and a table waits for its quota day
    one.finish(one.enqueue("2021-10-17", "2021-10-17"))
    with sqlite3.connect(one.folder / "state" / "state.db", timeout=PATIENCE) as state:
        state.execute("UPDATE dates SET regressed = 'rows are gone' WHERE date = '2021-10-17'")
        hold = ("table", "nba_raw.bdl_player_boxscores", "Quota exceeded: imports", "engine", time.time())
        state.execute("INSERT INTO holds (kind, key, reason, actor, since) VALUES (?, ?, ?, ?, ?)", hold)
    state.close()
    for name in ("BackfilldRegressed", "BackfilldTableHeld"):
        seen.wait_for(firing(name))
    # When an operator holds a table
    one.client.post("/v1/holds", {"kind": "table", "key": "nba_raw.nbac_team_boxscore", "reason": "repair"})
    seen.wait_for(firing("BackfilldHeldTooLong"))
    # When a table cannot be read, and somebody pauses everything
    next((one.lake / "nba_raw" / "nbac_schedule").rglob("*.parquet")).write_bytes(b"not Parquet")
    with pytest.raises(ApiError, match="Parquet"):
        one.client.get("/v1/validation", start="2021-10-17", end="2021-10-21")
    seen.wait_for(firing("BackfilldWarehouseErrors"))
    one.client.post("/v1/pause", {"reason": "the lake is broken"})
    seen.wait_for(firing("BackfilldPausedTooLong"))
