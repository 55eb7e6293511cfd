"""What the log of an attempt has: all that Cloud Logging shows of its output, in time or late."""

import pytest

from backfilld.daemon.executors.cloud_run import executor
from tests.integration.cloud_run.client_driver import COMPLETED, WAITS
from tests.integration.cloud_run.stub import CloudRunStub, refuse
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import until
from tests.integration.served_api import Answer

SUCCEEDED = f"{COMPLETED}Completed: Execution completed successfully.\n"


def test_output_that_comes_late_is_read_until_it_is_shown(
    driver: ExecutorDriver, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "LATE_SECONDS", 0.2)
    asked = []

    def denied() -> None:
        asked.append("entries")
        raise refuse(403, "Permission denied")

    api.logging = denied
    driver.shell("echo out")
    assert driver.result().code == 0
    why = "[backfilld: Cloud Logging does not show the output: 403 Client Error: Forbidden for url: "
    assert driver.output().startswith(f"{SUCCEEDED}{why}")
    until(lambda: len(asked) > 2, "the output to be asked for late, and once more")
    api.logging = lambda: None
    until(lambda: driver.output() == f"{SUCCEEDED}out\n", "the output")


def test_a_late_answer_without_output_takes_nothing_away(
    driver: ExecutorDriver, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "LATE_SECONDS", 0.2)
    driver.shell("echo out")
    assert driver.result().code == 0
    asked = []

    def nothing() -> None:
        asked.append("entries")
        raise Answer(200, {})

    api.logging = nothing
    until(lambda: asked, "the late answer")
    driver.executor.close()
    assert driver.output() == f"{SUCCEEDED}out\n"


def test_whoever_follows_a_log_finds_each_line_behind_those_before(
    driver: ExecutorDriver, api: CloudRunStub
) -> None:
    driver.shell(f"echo out; {WAITS}")
    until(driver.output, "the execution to be seen")
    (execution,) = api.executions.values()
    read = COMPLETED
    # Cloud Run tells how far it is, each time in place of what it told before
    for said in ("ResourcesAvailable: Provisioned.\n", "Started: Started in 9 s.\n"):
        kind, _, message = said.strip().partition(": ")
        execution.conditions = [{"type": kind, "message": message}]
        until(lambda said=said: driver.output().endswith(said), said)  # type: ignore[misc]
        assert driver.output() == read + said
        read += said
    (driver.cwd / "end").touch()
    assert driver.result().code == 7
    assert driver.output() == f"{read}Completed: The container exited with an error.\nout\n"
