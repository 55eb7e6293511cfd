"""However a job ends, nothing of it is left when its end is told, and nothing of others is touched."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.real_jobs import Bench, held, lives, until

LEAVES_TERM_ALONE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    bench = Bench(tmp_path / "attempts", cwd)
    yield bench
    bench.clean()


def test_a_stopped_job_may_end_in_its_own_way(bench: Bench) -> None:
    bench.shell("trap 'echo bye; exit 5' TERM; echo $$ >leader; while :; do sleep 0.01; done")
    bench.pid("leader")
    bench.local.stop(1, grace=60)
    bench.local.stop(1, grace=60)
    assert bench.exit().code == 5
    assert bench.output().count("bye") == 1


def test_a_job_without_a_trap_ends_by_the_signal_and_the_wrapper_says_so(bench: Bench) -> None:
    bench.shell("echo $$ >leader; sleep 300")
    bench.pid("leader")
    bench.local.stop(1, grace=60)
    assert bench.exit().code == 143


def test_children_keep_their_grace_when_the_shell_above_them_dies_at_once(bench: Bench) -> None:
    child = "trap 'sleep 0.2; touch cleaned; exit' TERM; echo $$ >child; while :; do sleep 0.01; done"
    bench.shell(f'sh -c "{child.replace("$", chr(92) + "$")}"; true')
    bench.pid("child")
    bench.local.stop(1, grace=60)
    bench.exit()
    assert (bench.cwd / "cleaned").exists()


def test_a_stop_becomes_a_kill_and_nothing_is_left_wherever_it_went(bench: Bench) -> None:
    stubborn = f"{sys.executable} -c '{LEAVES_TERM_ALONE}' & echo $! >stubborn"
    gone = "setsid sh -c 'trap \"\" TERM; echo $$ >gone; while :; do sleep 0.01; done' &"
    forked = '(setsid sh -c \'(trap "" TERM; sh -c "echo \\$\\$ >forked; exec sleep 300" &)\' &)'
    bench.shell(f"trap '' TERM; {stubborn}; {gone} {forked}; echo $$ >leader; wait")
    pids = [bench.pid(name) for name in ("stubborn", "gone", "forked", "leader")]
    assert all(lives(pid) for pid in pids)
    bench.local.stop(1, grace=0.1)
    end = bench.exit()
    assert (end.code, end.detail) == (None, "killed by signal 9")
    assert not any(lives(pid) for pid in pids)


def test_a_grace_ends_even_when_nobody_polls(bench: Bench) -> None:
    bench.shell("trap '' TERM; echo $$ >leader; while :; do sleep 0.01; done")
    leader = bench.pid("leader")
    bench.local.stop(1, grace=0.1)
    until(lambda: not lives(leader), "the kill")


def test_a_second_stop_can_shorten_the_grace_but_not_lengthen_it(bench: Bench) -> None:
    bench.shell("trap '' TERM; echo $$ >leader; while :; do sleep 0.01; done")
    bench.pid("leader")
    bench.local.stop(1, grace=float("inf"))
    bench.local.stop(1, grace=0.05)
    bench.local.stop(1, grace=600)
    assert bench.exit().detail == "killed by signal 9"


def test_a_suspended_job_can_be_stopped(bench: Bench) -> None:
    bench.shell("trap 'exit 6' TERM; echo $$ >leader; while :; do sleep 0.01; done")
    leader = bench.pid("leader")
    os.kill(leader, signal.SIGSTOP)
    bench.local.stop(1, grace=60)
    assert bench.exit().code == 6


def test_a_stop_of_what_is_not_under_way_does_nothing(bench: Bench) -> None:
    bench.run("true")
    bench.local.stop(1, grace=0)
    bench.local.stop(99, grace=0)
    assert bench.local.poll() == []


@pytest.mark.parametrize("away", ["", "setsid", "env -i"])
def test_what_a_job_leaves_behind_is_ended_before_its_exit_is_told(bench: Bench, away: str) -> None:
    bench.shell(f"{away} sleep 300 & echo $! >left; exit 2")
    assert bench.exit().code == 2
    until(lambda: not lives(bench.pid("left")))


@pytest.mark.parametrize("stopped", [True, False])
def test_what_was_killed_is_dead_and_not_dying_when_the_end_is_told(bench: Bench, stopped: bool) -> None:
    # Much memory takes long to give back: the process is still there when its environment is gone already.
    big = "import os, time; x = bytearray(300 << 20); print(os.getpid(), flush=True); time.sleep(300)"
    start = f"{sys.executable} -c '{big}' >near & setsid {sys.executable} -c '{big}' >far &"
    bench.shell(f"{start} until test -e end; do sleep 0.01; done")
    pids = [bench.pid("near"), bench.pid("far")]
    if stopped:
        bench.local.stop(1, grace=0)
    else:
        (bench.cwd / "end").touch()
    bench.exit()
    assert not any(lives(pid) for pid in pids)


def test_a_process_that_was_seen_cannot_hide_by_clearing_its_environment(bench: Bench) -> None:
    (bench.cwd / "away.sh").write_text(
        "trap '' TERM; echo $$ >away; until test -e hide; do sleep 0.01; done\n"
        "exec env -i /bin/sh -c 'echo $$ >hidden; exec sleep 300'\n"
    )
    bench.shell("trap '' TERM; setsid sh away.sh & sleep 300")
    bench.pid("away")
    bench.local.stop(1, grace=600)
    (bench.cwd / "hide").touch()
    hidden = bench.pid("hidden")
    bench.local.stop(1, grace=0)
    bench.exit()
    assert not lives(hidden)


def test_what_leaves_the_group_in_the_moment_the_job_ends_is_found_too(bench: Bench) -> None:
    ours = f"301.{os.getpid()}0"
    script = f"for n in 1 2 3; do setsid sh -c 'exec sleep {ours}$BACKFILLD_ATTEMPT' & done"
    for attempt in range(1, 41):
        bench.shell(script, attempt=attempt)
        assert bench.exit().code == 0
    assert _commands_with(ours) == []


def test_a_job_of_another_attempt_or_executor_is_left_alone(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "other", bench.cwd)
    other.shell("setsid sh -c 'echo $$ >foreign; exec sleep 300' & wait")
    bench.shell("setsid sh -c 'echo $$ >second; exec sleep 300' & wait", attempt=2)
    foreign, second = bench.pid("foreign"), bench.pid("second")
    bench.run("true", attempt=1)
    assert lives(foreign)
    assert lives(second)
    other.clean()


def test_many_short_jobs_are_each_told_once_and_nothing_leaks(bench: Bench) -> None:
    bench.run("true", attempt=1)
    before = held()
    told: list[int] = []
    for first in range(2, 102, 10):
        batch = [bench.job("sh", "-c", f"exit {n % 7}", attempt=n) for n in range(first, first + 10)]
        bench.local.launch(batch, bench.record)
        for seen in bench.observations(10):
            assert seen.exit is not None
            assert seen.exit.code == seen.attempt % 7
            told.append(seen.attempt)
    assert sorted(told) == list(range(2, 102))
    assert held() == before


def test_closing_gives_back_thread_and_files_and_leaves_the_jobs_alone(tmp_path: Path) -> None:
    before = held()
    first = Bench(tmp_path / "attempts", tmp_path)
    first.shell("echo $$ >leader; until test -e end; do sleep 0.01; done; exit 8")
    leader = first.pid("leader")
    first.local.close()
    first.local.close()
    assert held() == before
    assert lives(leader)
    second = Bench(tmp_path / "attempts", tmp_path)
    second.local.recover(first.handles)
    (tmp_path / "end").touch()
    assert second.exit().code == 8
    second.clean()


def _commands_with(text: str) -> list[str]:
    commands = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        commands += [command] if text in command else []
    return commands
