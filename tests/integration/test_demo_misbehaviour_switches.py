"""Misbehaving jobs of the demo as real processes: each kind leaves behind what it promises."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.warehouses.adapter import Partition
from backfilld.daemon.warehouses.lake.write_stamps import LakeStamps
from backfilld.demo import misbehaviour_switches, run_log
from backfilld.state.rules.verdict import Verdict
from tests.integration.demo_platform import DAY, PIPELINE, Platform
from tests.integration.real_jobs import until

RUNNING, SUCCESS, FAILED = ("running", None), "success", "failed"


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path, DAY)


@pytest.mark.parametrize(
    ("kind", "exit_code", "rows", "history", "verdict"),
    [
        ("nothing", 0, 0, [RUNNING, (SUCCESS, 0)], Verdict.NEVER_RAN),
        ("partial", 0, 2, [RUNNING, (SUCCESS, 2)], Verdict.PARTIAL),
        ("duplicates", 0, 20, [RUNNING, (SUCCESS, 20)], Verdict.EXCESS),
        ("unchanged", 0, 0, [RUNNING, (SUCCESS, 0)], Verdict.NEVER_RAN),
        ("unclosed", 0, 10, [RUNNING], Verdict.COMPLETE),
        ("no_history", 0, 10, [], Verdict.COMPLETE),
        ("crash", -signal.SIGKILL, 10, [RUNNING], Verdict.COMPLETE),
        ("exit1", 1, 10, [RUNNING, (FAILED, 0)], Verdict.COMPLETE),
        ("fail", 1, 0, [RUNNING, (FAILED, 0)], Verdict.NEVER_RAN),
        ("fail_quietly", 0, 0, [RUNNING, (FAILED, 0)], Verdict.NEVER_RAN),
        ("degraded", 0, 10, [RUNNING, (SUCCESS, 10)], Verdict.DEGRADED),
    ],
)
def test_a_job_misbehaves_as_its_switch_says(
    platform: Platform,
    kind: str,
    exit_code: int,
    rows: int,
    history: list[tuple[str, int | None]],
    verdict: Verdict,
) -> None:
    name = "upcoming_team_game_context"
    misbehaviour_switches.switch(platform.lake, name, DAY, kind)
    assert platform.run(name).returncode == exit_code
    assert platform.count(name) == rows
    assert platform.history() == history
    assert platform.verdict(name) is verdict  # by its rows alone: history is the warehouse's to read


def test_part_of_a_table_that_is_not_the_teams_is_an_eighth(platform: Platform) -> None:
    misbehaviour_switches.switch(platform.lake, "nbac_gamebook_player_stats", DAY, "partial")
    platform.run("nbac_gamebook_player_stats")
    assert platform.count("nbac_gamebook_player_stats") == 174 // 8


def test_a_retry_recovers_when_only_the_first_run_is_spoiled(platform: Platform) -> None:
    misbehaviour_switches.switch(platform.lake, "nbac_team_boxscore", None, "duplicates", times=1)
    counts = []
    for _ in range(2):
        platform.run("nbac_team_boxscore")
        counts.append(platform.count("nbac_team_boxscore"))
    assert counts == [20, 10]


def test_a_rerun_that_leaves_the_old_rows_shows_by_their_write_stamp_alone(platform: Platform) -> None:
    # Given rows of an earlier run
    name = "nbac_team_boxscore"
    target = PIPELINE.processors[name]
    partition = Partition(target.table, target.date_column, DAY)

    def told() -> tuple[int, str]:
        stamps = LakeStamps(platform.lake).read([partition], purpose="gate")
        return platform.count(name), stamps[partition]

    platform.run(name)
    before = told()
    # When the job runs again and leaves them as they are
    misbehaviour_switches.switch(platform.lake, name, DAY, "unchanged", times=1)
    assert platform.run(name).returncode == 0
    # Then nothing has changed, unlike after one that writes the same rows once more
    assert told() == before
    platform.run(name)
    rows, stamp = told()
    assert (rows, stamp == before[1]) == (before[0], False)


def test_the_witness_keeps_a_killed_run_open(platform: Platform) -> None:
    misbehaviour_switches.switch(platform.lake, "nbac_team_boxscore", DAY, "crash")
    platform.run("nbac_team_boxscore")
    (run,) = run_log.runs(platform.lake)
    assert (run.processor, run.ended) == ("nbac_team_boxscore", None)


@pytest.fixture
def hanging(
    platform: Platform, request: pytest.FixtureRequest
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A job that hangs in a process group of its own, with its child's pid."""
    misbehaviour_switches.switch(platform.lake, "nbac_team_boxscore", DAY, request.param)
    argv = platform.argv("nbac_team_boxscore")
    with subprocess.Popen(
        argv,
        cwd=platform.folder,
        env=dict(PIPELINE.jobs.env),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            until(lambda: children(process.pid), "the child")
            assert platform.history() == [RUNNING]
            yield process, children(process.pid)[0]
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def ignores_sigterm(pid: int) -> bool:
    lines = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(lines["SigIgn"], 16) & 1 << (signal.SIGTERM - 1))


@pytest.mark.parametrize("hanging", ["hang"], indirect=True)
def test_a_hanging_job_leaves_a_child_that_keeps_the_output_open(
    hanging: tuple[subprocess.Popen[str], int],
) -> None:
    process, child = hanging
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    os.kill(child, signal.SIGTERM)  # still there, and only now does the output end
    assert process.stdout is not None
    assert process.stdout.read().count("\n") == 1


@pytest.mark.parametrize("hanging", ["hang_hard"], indirect=True)
def test_a_hard_hang_ignores_sigterm_in_both_processes(hanging: tuple[subprocess.Popen[str], int]) -> None:
    process, child = hanging
    assert ignores_sigterm(process.pid)
    assert ignores_sigterm(child)
