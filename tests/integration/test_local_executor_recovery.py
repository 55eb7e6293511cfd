"""A daemon dies at any moment: its jobs live on, the next daemon finds them, and no job runs unrecorded."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.executors.adapter import JobResult
from backfilld.daemon.executors.process_identity import Identity, boot_id, executor_id, stat
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.local_jobs import earlier_daemon, local_driver, recorded_handles
from tests.integration.real_jobs import changed, lives, session_lives, until

WAITS = "echo $$ >leader; until test -e end; do sleep 0.01; done; echo done; exit 7"


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[ExecutorDriver]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    driver = local_driver(tmp_path / "attempts", cwd)
    yield driver
    driver.stop_all()


def here(driver: ExecutorDriver) -> str:
    """The id of the driver's executor."""
    return executor_id(driver.log_file().parents[1])


def recovered(driver: ExecutorDriver, handle: str | None) -> JobResult:
    driver.executor.recover({1: handle})
    return driver.result()


# ---- a daemon that dies before a job may begin


def test_a_job_whose_handle_was_never_recorded_never_runs(driver: ExecutorDriver) -> None:
    with earlier_daemon(driver, "touch ran", "dies before the record"):
        pass
    said = driver.log_file(1).with_suffix(".exit")
    until(lambda: said.read_text() == "held\n", "the wrapper to give up")
    end = recovered(driver, None)
    assert (end.code, end.detail, end.counts_as_attempt) == (None, "lost: never started", False)
    assert not (driver.cwd / "ran").exists()


def test_a_job_recorded_but_not_released_never_runs_and_is_told_so(driver: ExecutorDriver) -> None:
    with earlier_daemon(driver, "touch ran", "dies after the record"):
        pass
    end = recovered(driver, recorded_handles(driver)[1])
    assert (end.code, end.detail, end.counts_as_attempt) == (None, "lost: never started", False)
    assert not (driver.cwd / "ran").exists()


def test_what_is_left_of_an_older_attempt_of_that_number_says_nothing_of_one_that_never_ran(
    driver: ExecutorDriver,
) -> None:
    """A database restored from a backup gives its numbers once more."""
    driver.shell("exit 0")
    assert driver.result().code == 0
    end = recovered(driver, None)
    assert (end.code, end.detail, end.counts_as_attempt) == (None, "lost: never started", False)


# ---- a daemon that is killed while a job runs


def test_a_living_job_is_adopted_and_its_end_noticed_at_once(driver: ExecutorDriver) -> None:
    with earlier_daemon(driver, WAITS) as daemon:
        leader = driver.pid("leader")
        daemon.kill()
    driver.executor.recover(recorded_handles(driver))
    assert [status.result for status in driver.executor.poll()] == [None]
    assert lives(leader)
    (driver.cwd / "end").touch()
    end = driver.result()
    assert (end.code, end.detail, end.max_rss_bytes, end.cpu_seconds) == (7, "", None, None)
    assert driver.output() == "done\n"
    assert driver.executor.poll() == []


def test_the_exit_code_of_a_job_that_ended_in_between_is_kept_with_its_time(driver: ExecutorDriver) -> None:
    with earlier_daemon(driver, WAITS) as daemon:
        leader = driver.pid("leader")
        daemon.kill()
    (driver.cwd / "end").touch()
    until(lambda: not lives(leader), "the job to end")
    until(lambda: driver.log_file(1).with_suffix(".exit").read_text() == "7\n", "the exit status")
    ended_by = time.time()
    end = recovered(driver, recorded_handles(driver)[1])
    assert (end.code, end.detail) == (7, "")
    assert end.ended_at <= ended_by
    assert driver.executor.poll() == []


def test_an_adopted_job_can_be_stopped_with_all_that_it_started(driver: ExecutorDriver) -> None:
    script = f"setsid sh -c 'trap \"\" TERM; echo $$ >away; while :; do sleep 0.01; done' & {WAITS}"
    with earlier_daemon(driver, script) as daemon:
        pids = [driver.pid("leader"), driver.pid("away")]
        daemon.kill()
    driver.executor.recover(recorded_handles(driver))
    driver.executor.stop(1, grace=600)
    until(lambda: driver.log_file(1).with_suffix(".exit").read_text() == "143\n", "the exit status")
    driver.executor.stop(1, grace=0)
    assert driver.result().code == 143
    assert not any(lives(pid) for pid in pids)


def test_what_a_job_left_behind_while_no_daemon_ran_is_ended_on_recovery(driver: ExecutorDriver) -> None:
    script = "sh -c 'echo $$ >near; exec sleep 300' & setsid sh -c 'echo $$ >far; exec sleep 300' & exit 3"
    with earlier_daemon(driver, f"until test -e end; do sleep 0.01; done; {script}") as daemon:
        daemon.kill()
    (driver.cwd / "end").touch()
    pids = [driver.pid("near"), driver.pid("far")]
    until(lambda: driver.log_file(1).with_suffix(".exit").read_text() == "3\n", "the exit status")
    assert all(lives(pid) for pid in pids)
    assert recovered(driver, recorded_handles(driver)[1]).code == 3
    assert not any(lives(pid) for pid in pids)


def test_an_adopted_wrapper_that_was_killed_is_lost(driver: ExecutorDriver) -> None:
    with earlier_daemon(driver, "kill -KILL $PPID; sleep 300") as daemon:
        daemon.kill()
    end = recovered(driver, recorded_handles(driver)[1])
    assert end.code is None
    assert end.detail.startswith("lost: its process ")


# ---- a machine or container that is stopped in order, after its daemon


def restarted_machine(driver: ExecutorDriver, script: str, **fields: object) -> None:
    """Stop the daemon, then the job, and start a daemon whose machine has another boot, or other `fields`."""
    driver.shell(script)
    leader = driver.pid("leader")
    driver.executor.close()
    (driver.cwd / "end").touch()
    until(lambda: not lives(leader), "the job to end")
    handle = changed(driver.handles[1], **(fields or {"boot": "another"}))
    driver.restart().recover({1: handle})


KILLED = "echo $$ >leader; until test -e end; do sleep 0.01; done; kill -KILL $PPID $$"
"""Its wrapper writes no exit status."""


@pytest.mark.parametrize(
    ("script", "fields", "detail"),
    [
        (KILLED, {}, "preempted: the machine was restarted"),
        (KILLED, {"namespace": "pid:[1]"}, "preempted: its machine or container was stopped"),
        # What a job makes of SIGTERM, or of a network that goes before it
        (WAITS.replace("exit 7", "exit 143"), {}, "preempted: the machine was restarted, exit 143"),
        (WAITS.replace("exit 7", "exit 1"), {}, "preempted: the machine was restarted, exit 1"),
    ],
)
def test_a_job_that_ends_with_its_machine_after_the_daemon_loses_no_attempt(
    driver: ExecutorDriver, script: str, fields: dict[str, str], detail: str
) -> None:
    restarted_machine(driver, script, **fields)
    end = driver.result()
    assert (end.code, end.detail, end.counts_as_attempt) == (None, detail, False)


def test_a_job_that_succeeded_before_its_machine_was_restarted_has_succeeded(driver: ExecutorDriver) -> None:
    restarted_machine(driver, WAITS.replace("exit 7", "exit 0"))
    end = driver.result()
    assert (end.code, end.detail, end.counts_as_attempt) == (0, "", True)


def test_a_job_that_fails_while_no_daemon_runs_has_failed(driver: ExecutorDriver) -> None:
    restarted_machine(driver, WAITS, at=0.0)
    end = driver.result()
    assert (end.code, end.counts_as_attempt) == (7, True)


def test_a_job_of_a_machine_that_lost_power_has_lost_an_attempt(driver: ExecutorDriver) -> None:
    with earlier_daemon(driver, WAITS) as daemon:
        leader = driver.pid("leader")
        daemon.kill()
    session = os.getsid(leader)
    os.killpg(os.getpgid(leader), signal.SIGKILL)
    until(lambda: not session_lives(session), "all processes of the job to end")
    end = recovered(driver, changed(recorded_handles(driver)[1], boot="another"))
    assert (end.code, end.detail, end.counts_as_attempt) == (None, "lost: the machine was restarted", True)


def test_a_stop_in_order_excuses_no_later_crash(driver: ExecutorDriver) -> None:
    driver.shell(WAITS)
    leader = driver.pid("leader")
    driver.executor.close()
    # The next daemon adopts the job and dies without closing anything; then the machine does
    driver.restart()
    os.killpg(os.getpgid(leader), signal.SIGKILL)
    until(lambda: not lives(leader), "the job to end")
    driver.restart().recover({1: changed(driver.handles[1], boot="another")})
    assert driver.result().counts_as_attempt


# ---- handles that lie


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def test_a_pid_that_was_given_to_another_process_is_lost_and_that_process_lives(
    driver: ExecutorDriver, bystander: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(bystander.pid, at=time.time(), executor=here(driver)).text()
    end = recovered(driver, changed(identity, start=1))
    assert (end.code, end.detail) == (
        None,
        f"lost: its pid {bystander.pid} now belongs to another process",
    )
    assert lives(bystander.pid)


def test_after_a_restart_of_the_machine_a_job_is_lost(
    driver: ExecutorDriver, bystander: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(bystander.pid, at=time.time(), executor=here(driver)).text()
    end = recovered(driver, changed(identity, boot="another"))
    assert (end.code, end.detail) == (None, "lost: the machine was restarted")
    assert lives(bystander.pid)


def test_a_process_that_is_gone_is_lost(driver: ExecutorDriver) -> None:
    with subprocess.Popen(["true"]) as process:
        handle = Identity.of(process.pid, at=time.time(), executor=here(driver)).text()
    end = recovered(driver, handle)
    assert (end.code, end.detail) == (None, "lost: its process is gone")


def test_a_pid_that_is_only_a_thread_now_is_lost(driver: ExecutorDriver) -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    assert thread.native_id is not None
    handle = Identity.of(thread.native_id, at=time.time(), executor=here(driver)).text()
    end = recovered(driver, handle)
    release.set()
    thread.join()
    assert "now belongs to another process" in end.detail


def test_a_hidden_boot_id_does_not_make_jobs_look_lost(
    driver: ExecutorDriver, bystander: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(bystander.pid, at=time.time(), executor=here(driver)).text()
    driver.executor.recover({1: changed(identity, boot="")})
    assert [status.result for status in driver.executor.poll()] == [None]


# ---- facts about processes


def test_facts_are_read_right_when_the_command_has_blanks_and_parentheses(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", odd)
    with subprocess.Popen([odd, "300"]) as process:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "a) R 1 (b\n")
        facts, own = stat(process.pid), stat("self")
        process.kill()
    assert facts is not None
    assert own is not None
    assert facts.start >= own.start
    assert facts.env_end >= facts.env_start > 0


def test_an_identity_survives_being_written_down() -> None:
    with subprocess.Popen(["true"]) as process:
        identity = Identity.of(process.pid, at=12.5, executor="")
    assert Identity.parse(identity.text()) == identity
    assert identity.boot == boot_id() != ""


def test_what_a_job_left_behind_is_said_by_the_next_daemon_too(driver: ExecutorDriver) -> None:
    # Given a job of an earlier daemon that ends while no daemon runs, and leaves a process
    with earlier_daemon(driver, "sleep 300 & echo $! >child; exit 0"):
        child = driver.pid("child")
    driver.executor.recover(recorded_handles(driver))
    end = driver.result()
    assert (end.code, end.detail) == (0, "1 process that it left behind was ended")
    assert not lives(child)
