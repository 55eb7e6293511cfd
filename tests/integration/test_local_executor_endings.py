"""However a job ends, nothing of it is left when its end is told, and nothing of others is touched."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.executors.local.out_of_memory import OutOfMemoryKills, counter_files
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import local_driver, open_resources
from tests.integration.real_jobs import lives, until

LEAVES_TERM_ALONE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ExecutorDriver]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    driver = local_driver(tmp_path / "attempts", cwd)
    yield driver
    driver.stop_all()


def test_a_job_without_a_trap_ends_by_the_signal_and_the_wrapper_says_so(driver: ExecutorDriver) -> None:
    driver.shell("echo $$ >leader; sleep 300")
    driver.pid("leader")
    driver.executor.stop(1, grace=60)
    assert driver.result().code == 143


def test_children_keep_their_grace_when_the_shell_above_them_dies_at_once(driver: ExecutorDriver) -> None:
    child = "trap 'sleep 0.2; touch cleaned; exit' TERM; echo $$ >child; while :; do sleep 0.01; done"
    driver.shell(f'sh -c "{child.replace("$", chr(92) + "$")}"; true')
    driver.pid("child")
    driver.executor.stop(1, grace=60)
    driver.result()
    assert (driver.cwd / "cleaned").exists()


def test_a_stop_becomes_a_kill_and_nothing_is_left_wherever_it_went(driver: ExecutorDriver) -> None:
    stubborn = f"{sys.executable} -c '{LEAVES_TERM_ALONE}' & echo $! >stubborn"
    gone = "setsid sh -c 'trap \"\" TERM; echo $$ >gone; while :; do sleep 0.01; done' &"
    forked = '(setsid sh -c \'(trap "" TERM; sh -c "echo \\$\\$ >forked; exec sleep 300" &)\' &)'
    driver.shell(f"trap '' TERM; {stubborn}; {gone} {forked}; echo $$ >leader; wait")
    pids = [driver.pid(name) for name in ("stubborn", "gone", "forked", "leader")]
    assert all(lives(pid) for pid in pids)
    driver.executor.stop(1, grace=0.1)
    end = driver.result()
    assert (end.code, end.detail) == (None, "killed by signal 9")
    assert not any(lives(pid) for pid in pids)


def test_a_grace_ends_even_when_nobody_polls(driver: ExecutorDriver) -> None:
    driver.shell("trap '' TERM; echo $$ >leader; while :; do sleep 0.01; done")
    leader = driver.pid("leader")
    driver.executor.stop(1, grace=0.1)
    until(lambda: not lives(leader), "the kill")


def test_a_second_stop_can_shorten_the_grace_but_not_lengthen_it(driver: ExecutorDriver) -> None:
    driver.shell("trap '' TERM; echo $$ >leader; while :; do sleep 0.01; done")
    driver.pid("leader")
    driver.executor.stop(1, grace=float("inf"))
    driver.executor.stop(1, grace=0.05)
    driver.executor.stop(1, grace=600)
    assert driver.result().detail == "killed by signal 9"


def test_a_suspended_job_can_be_stopped(driver: ExecutorDriver) -> None:
    driver.shell("trap 'exit 6' TERM; echo $$ >leader; while :; do sleep 0.01; done")
    leader = driver.pid("leader")
    os.kill(leader, signal.SIGSTOP)
    driver.executor.stop(1, grace=60)
    assert driver.result().code == 6


@pytest.mark.parametrize("away", ["", "setsid", "env -i"])
def test_what_a_job_leaves_behind_is_ended_before_its_exit_is_told(driver: ExecutorDriver, away: str) -> None:
    driver.shell(f"{away} sleep 300 & echo $! >left; exit 2")
    assert driver.result().code == 2
    until(lambda: not lives(driver.pid("left")))


@pytest.mark.parametrize("stopped", [True, False])
def test_what_was_killed_is_dead_and_not_dying_when_the_end_is_told(
    driver: ExecutorDriver, stopped: bool
) -> None:
    # Much memory takes long to give back: the process is still there when its environment is gone already.
    big = "import os, time; x = bytearray(300 << 20); print(os.getpid(), flush=True); time.sleep(300)"
    start = f"{sys.executable} -c '{big}' >near & setsid {sys.executable} -c '{big}' >far &"
    driver.shell(f"{start} until test -e end; do sleep 0.01; done")
    pids = [driver.pid("near"), driver.pid("far")]
    if stopped:
        driver.executor.stop(1, grace=0)
    else:
        (driver.cwd / "end").touch()
    driver.result()
    assert not any(lives(pid) for pid in pids)


def test_a_process_that_was_seen_cannot_hide_by_clearing_its_environment(driver: ExecutorDriver) -> None:
    (driver.cwd / "away.sh").write_text(
        "trap '' TERM; echo $$ >away; until test -e hide; do sleep 0.01; done\n"
        "exec env -i /bin/sh -c 'echo $$ >hidden; exec sleep 300'\n"
    )
    driver.shell("trap '' TERM; setsid sh away.sh & sleep 300")
    driver.pid("away")
    driver.executor.stop(1, grace=600)
    (driver.cwd / "hide").touch()
    hidden = driver.pid("hidden")
    driver.executor.stop(1, grace=0)
    driver.result()
    assert not lives(hidden)


def test_what_leaves_the_group_in_the_moment_the_job_ends_is_found_too(driver: ExecutorDriver) -> None:
    ours = f"301.{os.getpid()}0"
    script = f"for n in 1 2 3; do setsid sh -c 'exec sleep {ours}$BACKFILLD_ATTEMPT' & done"
    for attempt in range(1, 41):
        driver.shell(script, attempt=attempt)
        assert driver.result().code == 0
    assert _commands_with(ours) == []


def test_a_job_of_another_attempt_or_executor_is_left_alone(driver: ExecutorDriver, tmp_path: Path) -> None:
    other = local_driver(tmp_path / "other", driver.cwd)
    other.shell("setsid sh -c 'echo $$ >foreign; exec sleep 300' & wait")
    driver.shell("setsid sh -c 'echo $$ >second; exec sleep 300' & wait", attempt=2)
    foreign, second = driver.pid("foreign"), driver.pid("second")
    driver.run("true", attempt=1)
    assert lives(foreign)
    assert lives(second)
    other.stop_all()


def test_many_short_jobs_are_each_told_once_and_nothing_leaks(driver: ExecutorDriver) -> None:
    driver.run("true", attempt=1)
    driver.executor.poll()  # closes the log of the job that ended
    before = open_resources()
    told: list[int] = []
    for first in range(2, 102, 10):
        batch = [driver.job("sh", "-c", f"exit {n % 7}", attempt=n) for n in range(first, first + 10)]
        driver.executor.launch(batch, driver.record)
        for status in driver.ended(10):
            assert status.result is not None
            assert status.result.code == status.attempt % 7
            told.append(status.attempt)
    assert sorted(told) == list(range(2, 102))
    driver.executor.poll()
    assert open_resources() == before


def test_closing_gives_back_thread_and_files_and_leaves_the_jobs_alone(tmp_path: Path) -> None:
    before = open_resources()
    first = local_driver(tmp_path / "attempts", tmp_path)
    first.shell("echo $$ >leader; until test -e end; do sleep 0.01; done; exit 8")
    leader = first.pid("leader")
    first.executor.close()
    first.executor.close()
    assert open_resources() == before
    assert lives(leader)
    second = local_driver(tmp_path / "attempts", tmp_path)
    second.executor.recover(first.handles)
    (tmp_path / "end").touch()
    assert second.result().code == 8
    second.stop_all()


def _commands_with(text: str) -> list[str]:
    commands = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        commands += [command] if text in command else []
    return commands


@pytest.mark.parametrize(
    ("count", "ends", "code", "detail"),
    [
        (4, "kill -9 $$", None, "out of memory: it was killed, and the kernel has killed a process for"),
        (
            5,
            "sh -c 'kill -9 $$'",
            None,
            "out of memory: it was killed, and the kernel has killed 2 processes for",
        ),
        (3, "kill -9 $$", 137, ""),
        (4, "exit 1", 1, ""),
    ],
    ids=["the job itself", "its last child", "by a person", "another job's process"],
)
def test_a_job_that_the_kernel_kills_for_want_of_memory_says_so(
    driver: ExecutorDriver,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    ends: str,
    code: int | None,
    detail: str,
) -> None:
    counter = driver.cwd / "memory.events"
    counter.write_text("oom 1\noom_kill 3\noom_group_kill 0\n")
    monkeypatch.setattr(driver.executor, "_memory_kills", OutOfMemoryKills((driver.cwd / "none", counter)))
    driver.shell(f"echo oom_kill {count} >memory.events; {ends}")
    end = driver.result()
    assert (end.code, end.counts_as_attempt) == (code, True)
    assert end.detail.startswith(detail)
    assert bool(end.detail) == bool(detail)


def test_a_job_that_the_daemon_kills_is_not_out_of_memory(
    driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = driver.cwd / "memory.events"
    monkeypatch.setattr(driver.executor, "_memory_kills", OutOfMemoryKills((counter,)))
    driver.shell("echo oom_kill 1 >memory.events; echo $$ >leader; trap '' TERM; exec sleep 300")
    driver.pid("leader")
    driver.executor.stop(1, grace=0)
    assert driver.result().detail == "killed by signal 9"


def test_this_host_counts_what_its_kernel_kills_for_want_of_memory() -> None:
    counted = [file for file in counter_files() if file.exists() and "oom_kill " in file.read_text()]
    assert counted


def test_a_job_that_is_stopped_has_left_nothing_behind(driver: ExecutorDriver) -> None:
    driver.shell("sleep 300 & echo $! >child; wait")
    driver.pid("child")
    driver.executor.stop(1, grace=5)
    assert "left behind" not in driver.result().detail
