"""What the log of an attempt has: all that Cloud Logging shows of its output, in time or late."""

import pytest

from backfilld.daemon.executors.cloud_run import executor
from tests.integration.cloud_run.client_driver import COMPLETED, WAITS
from tests.integration.cloud_run.stub import CloudRunStub, refuse
from tests.integration.executor_driver import Hand
from tests.integration.real_jobs import until
from tests.integration.served_api import Answer

SUCCEEDED = f"{COMPLETED}Completed: Execution completed successfully.\n"


def test_output_that_comes_late_is_read_until_it_is_shown(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "LATE_SECONDS", 0.2)
    asked = []

    def denied() -> None:
        asked.append("entries")
        raise refuse(403, "Permission denied")

    api.logging = denied
    hand.shell("echo out")
    assert hand.exit().code == 0
    why = "[backfilld: Cloud Logging does not show the output: 403 Client Error: Forbidden for url: "
    assert hand.output().startswith(f"{SUCCEEDED}{why}")
    until(lambda: len(asked) > 2, "the output to be asked for late, and once more")
    api.logging = lambda: None
    until(lambda: hand.output() == f"{SUCCEEDED}out\n", "the output")


def test_a_late_answer_without_output_takes_nothing_away(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "LATE_SECONDS", 0.2)
    hand.shell("echo out")
    assert hand.exit().code == 0
    asked = []

    def nothing() -> None:
        asked.append("entries")
        raise Answer(200, {})

    api.logging = nothing
    until(lambda: asked, "the late answer")
    hand.executor.close()
    assert hand.output() == f"{SUCCEEDED}out\n"


def test_whoever_follows_a_log_finds_each_line_behind_those_before(hand: Hand, api: CloudRunStub) -> None:
    hand.shell(f"echo out; {WAITS}")
    until(hand.output, "the execution to be seen")
    (execution,) = api.executions.values()
    read = COMPLETED
    # Cloud Run tells how far it is, each time in place of what it told before
    for said in ("ResourcesAvailable: Provisioned.\n", "Started: Started in 9 s.\n"):
        kind, _, message = said.strip().partition(": ")
        execution.conditions = [{"type": kind, "message": message}]
        until(lambda said=said: hand.output().endswith(said), said)  # type: ignore[misc]
        assert hand.output() == read + said
        read += said
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7
    assert hand.output() == f"{read}Completed: The container exited with an error.\nout\n"
