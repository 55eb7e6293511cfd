"""What every executor must do. A new one inherits the suite, and writes the fixture `rig` only."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from backfilld.daemon.executors.adapter import CHUNK_BYTES, Handle, JobResult, follow
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import lives, until

WAITS = "echo $$ >leader; echo begun; until test -e end; do sleep 0.02; done; echo done; exit 7"
IGNORES_SIGTERM = "trap '' TERM; echo $$ >leader; while :; do sleep 0.02; done"

FOREIGN_HANDLES = ["", "7", "{}", "not json", '{"id": 7, "queue": "jobs"}']
"""Texts that no executor of this package records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an executor can do. The suite asserts both: that it can, and that it cannot."""

    live_output: bool = True
    """The log grows while the job runs."""
    usage: bool = True
    """Results have the CPU time."""
    kill_has_no_code: bool = True
    """A killed job has no exit code; else it has the code of a shell, 137."""
    leftovers: bool = True
    """Results say how many processes outlived a job and were ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """An executor to test."""

    driver: ExecutorDriver
    never_started: Callable[[Handle], Handle]
    """Another handle, as recorded by a daemon that died before the job could begin."""
    capabilities: Capabilities = Capabilities()


class RecordFailed(Exception):
    """The state database is not available."""


def never_began(result: JobResult) -> bool:
    return (result.code, result.began, result.counts_as_attempt) == (None, False, False)


_UNTIL_LEFT = "until test -s one && test -s two; do sleep 0.02; done"


def _leaves(name: str) -> str:
    """A process that lives on for long, once it has written its pid to a file."""
    return f"sh -c 'echo $$ >{name}; exec sleep 300'"


class ExecutorConformance:
    """The suite. `rig` is a fixture of the subclass."""

    @pytest.fixture
    def driver(self, rig: Rig) -> ExecutorDriver:
        return rig.driver

    def test_the_executor_has_no_fault_and_can_start_jobs(self, driver: ExecutorDriver) -> None:
        until(lambda: not driver.executor.unavailable_reason, "an executor that can start a job")
        assert driver.executor.fault == ""
        assert driver.executor.poll() == []

    # ---- results

    @pytest.mark.parametrize("code", [0, 3, 126])
    def test_the_exit_code_is_kept(self, driver: ExecutorDriver, code: int) -> None:
        driver.shell(f"exit {code}")
        result = driver.result()
        assert (result.code, result.detail) == (code, "")
        assert result.began
        assert result.counts_as_attempt

    def test_a_job_is_reported_while_it_runs_and_once_when_it_has_ended(self, driver: ExecutorDriver) -> None:
        driver.shell(WAITS)
        driver.pid("leader")
        assert [(status.attempt, status.result) for status in driver.executor.poll()] == [(1, None)]
        (driver.cwd / "end").touch()
        assert driver.result().code == 7
        assert driver.executor.poll() == []

    def test_a_job_ends_between_its_launch_and_its_report(self, driver: ExecutorDriver) -> None:
        before = time.time()
        driver.shell("true")
        # A second for hosts that report whole seconds
        assert before - 1 < driver.result().ended_at <= time.time() + 1

    def test_usage_is_measured_where_the_executor_can(self, rig: Rig, driver: ExecutorDriver) -> None:
        driver.shell("true")
        assert (driver.result().cpu_seconds is not None) == rig.capabilities.usage

    def test_many_jobs_of_one_launch_have_each_their_own_result(self, driver: ExecutorDriver) -> None:
        until(lambda: not driver.executor.unavailable_reason, "an executor that can start a job")
        jobs = [driver.job("sh", "-c", f"exit {n}", attempt=n) for n in (1, 2, 3)]
        driver.executor.launch(jobs, driver.record)
        codes = {status.attempt: status.result and status.result.code for status in driver.ended(3)}
        assert codes == {1: 1, 2: 2, 3: 3}
        assert driver.executor.poll() == []

    # ---- what the job gets

    def test_no_shell_parses_a_word_of_the_command(self, driver: ExecutorDriver) -> None:
        until(lambda: not driver.executor.unavailable_reason, "an executor that can start a job")
        driver.run("printf", "%s|", "$(touch a)", "; touch b", "`touch c`", "*", "", "two words")
        assert "$(touch a)|; touch b|`touch c`|*||two words|" in driver.output()
        assert not [name for name in "abc" if (driver.cwd / name).exists()]

    def test_the_environment_has_the_jobs_variables_and_its_attempt(self, driver: ExecutorDriver) -> None:
        driver.shell("echo $GIVEN $BACKFILLD_ATTEMPT")
        driver.result()
        assert "to the job 1\n" in driver.output()

    # ---- output

    def test_the_log_has_both_streams(self, driver: ExecutorDriver) -> None:
        driver.shell("echo out; echo err >&2")
        driver.result()
        assert {"out", "err"} <= set(driver.output().splitlines())

    def test_the_log_grows_while_the_job_runs_where_the_executor_can(
        self, rig: Rig, driver: ExecutorDriver
    ) -> None:
        driver.shell(WAITS)
        driver.pid("leader")
        if rig.capabilities.live_output:
            until(lambda: "begun\n" in driver.output(), "the first output")
        else:
            assert "begun\n" not in driver.output()
        (driver.cwd / "end").touch()
        driver.result()
        assert driver.output().endswith("begun\ndone\n")

    def test_the_log_can_be_read_in_parts(self, driver: ExecutorDriver) -> None:
        driver.shell("i=0; while test $i -lt 90; do echo line-$i-" + "x" * 1000 + "; i=$((i+1)); done")
        driver.result()
        log, whole = driver.executor.log(1), driver.output().encode()
        assert log.size() == len(whole) > CHUNK_BYTES
        assert log.read(len(whole) - 9, 100) == whole[-9:]
        chunks = list(follow(log, 100, len(whole)))
        assert len(chunks) > 1
        assert b"".join(chunks) == whole[100:]

    def test_an_attempt_that_was_never_launched_has_no_log(self, driver: ExecutorDriver) -> None:
        assert driver.executor.log(99).size() is None

    def test_an_older_attempt_of_the_same_number_leaves_no_output(self, driver: ExecutorDriver) -> None:
        """A database restored from a backup hands out its numbers again."""
        driver.shell("echo old; exit 1")
        assert driver.result().code == 1
        driver.shell("echo new; exit 0")
        assert driver.result().code == 0
        assert "old" not in driver.output()

    # ---- recording

    def test_handles_are_recorded_in_one_call_before_any_job_begins(self, driver: ExecutorDriver) -> None:
        until(lambda: not driver.executor.unavailable_reason, "an executor that can start a job")
        recorded: list[set[int]] = []

        def record(handles: Mapping[int, Handle]) -> None:
            time.sleep(0.2)  # enough for a job that does not wait
            assert not [name for name in "12" if (driver.cwd / name).exists()]
            recorded.append(set(handles))

        driver.executor.launch([driver.job("touch", str(n), attempt=n) for n in (1, 2)], record)
        driver.ended(2)
        assert recorded == [{1, 2}]
        assert all((driver.cwd / name).exists() for name in "12")

    def test_a_job_whose_handle_cannot_be_recorded_never_begins(
        self, driver: ExecutorDriver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        until(lambda: not driver.executor.unavailable_reason, "an executor that can start a job")
        monkeypatch.setattr("backfilld.daemon.wakeable_task_thread.FAULT_PAUSE_SECONDS", 0.05)
        calls: list[int] = []

        def fails(handles: Mapping[int, Handle]) -> None:
            calls.extend(handles)
            raise RecordFailed

        def over() -> bool:
            return bool(calls) and all(s.result and never_began(s.result) for s in driver.executor.poll())

        try:
            driver.executor.launch([driver.job("touch", "ran")], fails)
        except RecordFailed:  # an executor that records at once
            assert driver.executor.poll() == []
        until(over, "the launch to be given up")
        driver.shell("true", attempt=2)
        assert driver.result().code == 0
        assert not (driver.cwd / "ran").exists()

    # ---- stopping

    def test_a_stopped_job_can_end_by_itself_within_its_grace(self, driver: ExecutorDriver) -> None:
        driver.shell("trap 'exit 4' TERM; echo $$ >leader; while :; do sleep 0.02; done")
        driver.pid("leader")
        for _ in range(2):
            driver.executor.stop(1, grace=60)
        assert driver.result().code == 4

    def test_a_job_that_ignores_sigterm_is_killed_after_its_grace(
        self, rig: Rig, driver: ExecutorDriver
    ) -> None:
        driver.shell(IGNORES_SIGTERM)
        leader = driver.pid("leader")
        driver.executor.stop(1, grace=0.1)
        result = driver.result()
        killed = (None, "killed by signal 9") if rig.capabilities.kill_has_no_code else (137, "")
        assert (result.code, result.detail) == killed
        assert not lives(leader)

    def test_stopping_an_unknown_attempt_does_nothing(self, driver: ExecutorDriver) -> None:
        driver.shell("true")
        driver.result()
        driver.executor.stop(1, grace=0)
        driver.executor.stop(99, grace=0)
        assert driver.executor.poll() == []

    def test_what_left_the_jobs_session_is_killed_before_the_result(self, driver: ExecutorDriver) -> None:
        driver.shell("setsid sh -c 'echo $$ >left; exec sleep 300' & until test -s left; do sleep 0.02; done")
        assert driver.result().code == 0
        assert not lives(driver.pid("left"))

    def test_a_result_says_how_many_processes_the_job_left_behind(
        self, driver: ExecutorDriver, rig: Rig
    ) -> None:
        driver.shell(f"{_leaves('one')} & {_leaves('two')} & {_UNTIL_LEFT}; exit 3")
        result, left = driver.result(), "2 processes that it left behind were ended"
        assert (result.code, result.detail) == (3, left if rig.capabilities.leftovers else "")
        assert result.counts_as_attempt

    def test_a_job_that_waits_for_its_children_leaves_none_behind(self, driver: ExecutorDriver) -> None:
        driver.shell("(sleep 0.1; echo one) & (sleep 0.1; echo two) & wait; echo three | cat")
        result = driver.result()
        assert (result.code, result.detail) == (0, "")

    # ---- the next daemon

    def test_closing_leaves_jobs_running_and_can_be_repeated(self, driver: ExecutorDriver) -> None:
        driver.shell(WAITS)
        leader = driver.pid("leader")
        driver.executor.close()
        driver.executor.close()
        assert lives(leader)
        (driver.cwd / "end").touch()
        until(lambda: not lives(leader), "the job to end")

    def test_the_next_executor_adopts_a_running_job(self, driver: ExecutorDriver) -> None:
        driver.shell(WAITS)
        leader = driver.pid("leader")
        driver.executor.close()
        driver.restart().recover(driver.handles)
        assert lives(leader)
        (driver.cwd / "end").touch()
        assert driver.result().code == 7
        assert driver.output().endswith("begun\ndone\n")

    def test_an_adopted_job_can_be_stopped(self, driver: ExecutorDriver) -> None:
        driver.shell(IGNORES_SIGTERM)
        leader = driver.pid("leader")
        driver.executor.close()
        driver.restart().recover(driver.handles)
        driver.executor.stop(1, grace=0.1)
        driver.result()
        assert not lives(leader)

    def test_a_job_that_ended_without_an_executor_has_its_result(self, driver: ExecutorDriver) -> None:
        driver.shell(WAITS)
        leader = driver.pid("leader")
        driver.executor.close()
        (driver.cwd / "end").touch()
        until(lambda: not lives(leader), "the job to end")
        driver.restart().recover(driver.handles)
        assert driver.result().code == 7

    def test_a_result_that_was_reported_and_not_closed_is_found_again(self, driver: ExecutorDriver) -> None:
        driver.shell("exit 6")
        first = driver.result()
        assert (first.code, driver.executor.poll()) == (6, [])
        driver.executor.recover(driver.handles)
        second = driver.result()
        driver.executor.close()
        driver.restart().recover(driver.handles)
        third = driver.result()
        assert {(end.code, end.ended_at) for end in (first, second, third)} == {(6, first.ended_at)}

    def test_recovering_twice_runs_no_job_twice(self, driver: ExecutorDriver) -> None:
        driver.shell(f"echo run >>runs; {WAITS}")
        driver.pid("leader")
        driver.executor.recover(driver.handles)
        driver.executor.recover(driver.handles)
        assert len(driver.executor.poll()) == 1
        (driver.cwd / "end").touch()
        assert driver.result().code == 7
        assert driver.executor.poll() == []
        assert (driver.cwd / "runs").read_text() == "run\n"

    def test_an_attempt_without_a_handle_never_began(self, driver: ExecutorDriver) -> None:
        driver.executor.recover({1: None})
        result = driver.result()
        assert never_began(result)
        assert result.detail == "lost: never started"

    def test_a_job_that_was_recorded_and_never_started_never_began(
        self, rig: Rig, driver: ExecutorDriver
    ) -> None:
        driver.shell("true")
        driver.result()
        driver.executor.recover({2: rig.never_started(driver.handles[1])})
        assert never_began(driver.result())

    @pytest.mark.parametrize("handle", ["", "7", "{}", "not json"])
    def test_a_handle_that_cannot_be_parsed_is_lost(self, driver: ExecutorDriver, handle: str) -> None:
        driver.executor.recover({1: handle})
        result = driver.result()
        assert result.code is None
        assert result.detail.startswith("lost: not a ")
        assert result.detail.endswith(repr(handle))

    def test_it_recognizes_its_own_handles_and_no_others(self, driver: ExecutorDriver) -> None:
        driver.shell("true")
        driver.result()
        assert driver.executor.recognizes(driver.handles[1])
        assert not [handle for handle in FOREIGN_HANDLES if driver.executor.recognizes(handle)]
