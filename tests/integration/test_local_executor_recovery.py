"""A daemon dies at any moment: its jobs live on, the next daemon finds them, and no job runs unrecorded."""

import dataclasses
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.executors.adapter import JobResult
from backfilld.daemon.executors.local.process import Identity, boot_id, stat
from tests.integration.real_jobs import Bench, changed, earlier_daemon, handles, lives, until

WAITS = "echo $$ >leader; until test -e end; do sleep 0.01; done; echo done; exit 7"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    bench = Bench(tmp_path / "attempts", cwd)
    yield bench
    bench.clean()


def recovered(bench: Bench, handle: str | None) -> JobResult:
    bench.local.recover({1: handle})
    return bench.exit()


# ---- a daemon that dies before a job may begin


def test_a_job_whose_handle_was_never_recorded_never_runs(bench: Bench) -> None:
    with earlier_daemon(bench, "touch ran", "dies before the record"):
        pass
    said = bench.local.log(1).with_suffix(".exit")
    until(lambda: said.read_text() == "held\n", "the wrapper to give up")
    end = recovered(bench, None)
    assert (end.code, end.detail, end.tried) == (None, "lost: never started", False)
    assert not (bench.cwd / "ran").exists()


def test_a_job_recorded_but_not_released_never_runs_and_is_told_so(bench: Bench) -> None:
    with earlier_daemon(bench, "touch ran", "dies after the record"):
        pass
    end = recovered(bench, handles(bench)[1])
    assert (end.code, end.detail, end.tried) == (None, "lost: never started", False)
    assert not (bench.cwd / "ran").exists()


def test_what_is_left_of_an_older_attempt_of_that_number_says_nothing_of_one_that_never_ran(
    bench: Bench,
) -> None:
    """A database restored from a backup gives its numbers once more."""
    bench.shell("exit 0")
    assert bench.exit().code == 0
    end = recovered(bench, None)
    assert (end.code, end.detail, end.tried) == (None, "lost: never started", False)


# ---- a daemon that is killed while a job runs


def test_a_living_job_is_adopted_and_its_end_noticed_at_once(bench: Bench) -> None:
    with earlier_daemon(bench, WAITS) as daemon:
        leader = bench.pid("leader")
        daemon.kill()
    bench.local.recover(handles(bench))
    assert [seen.exit for seen in bench.local.poll()] == [None]
    assert lives(leader)
    (bench.cwd / "end").touch()
    end = bench.exit()
    assert (end.code, end.detail, end.max_rss_bytes, end.cpu_seconds) == (7, "", None, None)
    assert bench.output() == "done\n"
    assert bench.local.poll() == []


def test_the_exit_code_of_a_job_that_ended_in_between_is_kept_with_its_time(bench: Bench) -> None:
    with earlier_daemon(bench, WAITS) as daemon:
        leader = bench.pid("leader")
        daemon.kill()
    (bench.cwd / "end").touch()
    until(lambda: not lives(leader), "the job to end")
    until(lambda: bench.local.log(1).with_suffix(".exit").read_text() == "7\n", "the exit status")
    ended_by = time.time()
    end = recovered(bench, handles(bench)[1])
    assert (end.code, end.detail) == (7, "")
    assert end.ended_at <= ended_by
    assert bench.local.poll() == []


def test_an_adopted_job_can_be_stopped_with_all_that_it_started(bench: Bench) -> None:
    script = f"setsid sh -c 'trap \"\" TERM; echo $$ >away; while :; do sleep 0.01; done' & {WAITS}"
    with earlier_daemon(bench, script) as daemon:
        pids = [bench.pid("leader"), bench.pid("away")]
        daemon.kill()
    bench.local.recover(handles(bench))
    bench.local.stop(1, grace=600)
    until(lambda: bench.local.log(1).with_suffix(".exit").read_text() == "143\n", "the exit status")
    bench.local.stop(1, grace=0)
    assert bench.exit().code == 143
    assert not any(lives(pid) for pid in pids)


def test_what_a_job_left_behind_while_no_daemon_ran_is_ended_on_recovery(bench: Bench) -> None:
    script = "sh -c 'echo $$ >near; exec sleep 300' & setsid sh -c 'echo $$ >far; exec sleep 300' & exit 3"
    with earlier_daemon(bench, f"until test -e end; do sleep 0.01; done; {script}") as daemon:
        daemon.kill()
    (bench.cwd / "end").touch()
    pids = [bench.pid("near"), bench.pid("far")]
    until(lambda: bench.local.log(1).with_suffix(".exit").read_text() == "3\n", "the exit status")
    assert all(lives(pid) for pid in pids)
    assert recovered(bench, handles(bench)[1]).code == 3
    assert not any(lives(pid) for pid in pids)


def test_an_adopted_wrapper_that_was_killed_is_lost(bench: Bench) -> None:
    with earlier_daemon(bench, "kill -KILL $PPID; sleep 300") as daemon:
        daemon.kill()
    end = recovered(bench, handles(bench)[1])
    assert end.code is None
    assert end.detail.startswith("lost: its process ")


def test_recovering_twice_changes_nothing(bench: Bench) -> None:
    bench.shell(WAITS)
    leader = bench.pid("leader")
    bench.local.recover(bench.handles)
    bench.local.recover(bench.handles)
    assert len(bench.local.poll()) == 1
    assert lives(leader)


# ---- handles that lie


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process
        process.kill()


def test_a_pid_that_was_given_to_another_process_is_lost_and_that_process_lives(
    bench: Bench, bystander: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(bystander.pid, at=time.time()).text()
    end = recovered(bench, changed(identity, start=1))
    assert (end.code, end.detail) == (
        None,
        f"lost: its pid {bystander.pid} now belongs to another process",
    )
    assert lives(bystander.pid)


def test_after_a_restart_of_the_machine_a_job_is_lost(
    bench: Bench, bystander: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(bystander.pid, at=time.time()).text()
    end = recovered(bench, changed(identity, boot="another"))
    assert (end.code, end.detail) == (None, "lost: the machine was restarted")
    assert lives(bystander.pid)


def test_a_process_that_is_gone_is_lost(bench: Bench) -> None:
    with subprocess.Popen(["true"]) as process:
        handle = Identity.of(process.pid, at=time.time()).text()
    end = recovered(bench, handle)
    assert (end.code, end.detail) == (None, "lost: its process is gone")


def test_a_pid_that_is_only_a_thread_now_is_lost(bench: Bench) -> None:
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    assert thread.native_id is not None
    handle = Identity.of(thread.native_id, at=time.time()).text()
    end = recovered(bench, handle)
    release.set()
    thread.join()
    assert "now belongs to another process" in end.detail


@pytest.mark.parametrize("handle", ["", "7", "{}", '{"pid": null, "start": 1, "boot": "", "at": 0}'])
def test_a_handle_that_cannot_be_read_is_lost(bench: Bench, handle: str) -> None:
    end = recovered(bench, handle)
    assert end.code is None
    assert end.detail.startswith("lost: not a process handle")


def test_a_hidden_boot_id_does_not_make_jobs_look_lost(
    bench: Bench, bystander: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(bystander.pid, at=time.time()).text()
    bench.local.recover({1: changed(identity, boot="")})
    assert [seen.exit for seen in bench.local.poll()] == [None]


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
        identity = Identity.of(process.pid, at=12.5)
    assert Identity.parse(identity.text()) == identity
    assert identity.boot == boot_id() != ""


# ---- a daemon on another machine


def test_a_job_of_another_machine_is_out_of_sight_and_never_touched(bench: Bench) -> None:
    with earlier_daemon(bench, WAITS) as daemon:
        leader = bench.pid("leader")
        daemon.kill()
    here = Identity.parse(handles(bench)[1])
    there = dataclasses.replace(here, home=f"elsewhere:{here.home.partition(':')[2]}")
    bench.local.recover({1: there.text()})
    (seen,) = bench.local.poll()
    assert (seen.exit, seen.elsewhere) == (None, there.home)
    bench.local.stop(1, 0.0)
    assert bench.local.poll() == []
    assert lives(leader)
    # Whoever is on the job's own machine adopts it
    bench.local.recover({1: here.text()})
    (bench.cwd / "end").touch()
    assert bench.exit().code == 7
