"""The run log: runs are read back completely, and overlapping runs are found."""

from datetime import date
from pathlib import Path

import pytest

from backfilld.demo import run_log
from backfilld.demo.run_log import Run

DAY = date(2021, 10, 26)


def run(name: str, started: float, ended: float | None) -> Run:
    return Run(
        run=name, processor="p", dates=(DAY,), pid=1, attempt=None, started=started, ended=ended, exit_code=0
    )


def test_a_fresh_lake_has_no_runs(tmp_path: Path) -> None:
    assert run_log.runs(tmp_path) == []


def test_a_run_has_its_dates_attempt_and_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKFILLD_ATTEMPT", "31")
    first = run_log.start(tmp_path, "player_daily_cache", [DAY])
    killed = run_log.start(tmp_path, "nbac_team_boxscore", [DAY])
    run_log.end(tmp_path, first, 1)
    one, two = run_log.runs(tmp_path)
    assert (one.processor, one.dates, one.attempt, one.exit_code) == ("player_daily_cache", (DAY,), "31", 1)
    assert one.ended is not None
    assert one.started <= two.started <= one.ended
    assert (two.run, two.ended, two.exit_code) == (killed, None, None)


def test_runs_that_share_a_moment_overlap() -> None:
    one, two, three = run("one", 0.0, 2.0), run("two", 1.0, 3.0), run("three", 3.0, 4.0)
    assert run_log.overlapping([three, two, one]) == [(one, two)]


def test_a_killed_run_overlaps_nothing_that_came_later() -> None:
    assert run_log.overlapping([run("killed", 0.0, None), run("later", 1.0, 2.0)]) == []
