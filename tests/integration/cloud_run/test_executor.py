"""Jobs as Cloud Run executions: begun once, ended as asked, found again by another daemon."""

import json
import threading
import time

import pytest

from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.cloud_run import client, executor
from tests.integration.cloud_run.client_driver import (
    COMPLETED,
    WAITS,
    dead_launcher,
    hand_of,
    on_run,
    status_message,
)
from tests.integration.cloud_run.stub import PARENT, CloudRunStub, refuse
from tests.integration.executor_driver import Hand
from tests.integration.real_jobs import changed, lives, until
from tests.timeouts import PATIENCE

# ---- as with the local executor


def test_a_job_tells_how_it_ended_and_what_it_wrote(hand: Hand, api: CloudRunStub) -> None:
    began = time.time()
    hand.shell(
        'echo out; echo \'{"message": "of JSON"}\'; echo $GIVEN $BACKFILLD_ATTEMPT $OF_THE_JOB >&2; exit 3'
    )
    end = hand.exit()
    assert (end.code, end.detail, end.tried) == (3, "", True)
    assert began - 30 < end.ended_at <= time.time() + 1
    ended = "Completed: The container exited with an error.\n"
    assert hand.output() == f"{COMPLETED}{ended}out\nof JSON\nto the job 1 1\n"
    assert hand.executor.log(1).stat().st_mode & 0o777 == 0o600
    # And the execution is one task, which Cloud Run ends a minute after the daemon should have
    (overrides,) = api.runs
    assert (overrides["taskCount"], overrides["timeout"]) == (1, "1860s")
    assert overrides["containerOverrides"][0]["args"][:2] == ["sh", "-c"]
    assert hand.executor.poll() == []


def test_a_job_that_does_its_work_ends_with_0(hand: Hand) -> None:
    hand.shell("true")
    assert hand.exit().code == 0
    assert hand.output() == COMPLETED + "Completed: Execution completed successfully.\n"


def test_a_signal_is_told_as_a_shell_tells_it(hand: Hand) -> None:
    hand.shell("kill -9 $$")
    assert hand.exit().code == 137


def test_an_image_that_is_not_there_is_told(hand: Hand, api: CloudRunStub) -> None:
    api.images = False
    hand.shell("true")
    assert hand.exit().detail == "cannot start: Image 'gcr.io/p/nowhere' not found."


def test_stop_cancels_the_execution(hand: Hand, api: CloudRunStub) -> None:
    hand.shell("trap 'touch heard; exit 4' TERM; echo $$ >leader; while :; do sleep 0.02; done")
    leader = hand.pid("leader")
    for attempt in (1, 1, 2):
        hand.executor.stop(attempt, grace=10)
    assert hand.exit().code == 4
    assert (hand.cwd / "heard").exists()
    assert not lives(leader)
    assert "Completed: Execution cancelled.\n" in hand.output()


def test_a_job_that_hears_nothing_ends_too(hand: Hand, api: CloudRunStub) -> None:
    api.grace = 0.1
    hand.shell("trap '' TERM; echo $$ >leader; while :; do sleep 0.02; done")
    hand.pid("leader")
    hand.executor.stop(1, grace=10)
    assert hand.exit().code == 137


def test_a_request_that_is_wrong_is_not_made_again(hand: Hand, api: CloudRunStub) -> None:
    def fails() -> None:
        raise refuse(400, "timeout must be at most 168 hours")

    api.before = on_run(fails)
    hand.shell("touch ran")
    end = hand.exit()
    told = "cannot start: Cloud Run answers 400: timeout must be at most 168 hours"
    assert (end.code, end.detail, end.tried) == (None, told, True)
    assert api.executions == {}


# ---- a Cloud Run job that would run more than once


@pytest.mark.parametrize(
    ("retries", "tasks", "objection"),
    [
        (3, 1, "team runs a failed task again by itself, 3 times: {update} --max-retries 0"),
        (None, 1, "team runs a failed task again by itself, 3 times: {update} --max-retries 0"),
        (0, 4, "team is split into 4 tasks: {update} --tasks 1"),
    ],
)
def test_a_job_that_would_run_more_than_once_is_refused(
    hand: Hand, api: CloudRunStub, retries: int | None, tasks: int, objection: str
) -> None:
    api.add("team", retries=retries, tasks=tasks)
    hand.shell("touch ran")
    update = "gcloud run jobs update team --project p --region us-west2"
    assert hand.exit().detail == f"cannot start: {objection.format(update=update)}"
    assert api.runs == []


# ---- a daemon that dies


def test_a_running_execution_is_adopted(hand: Hand, api: CloudRunStub) -> None:
    hand.shell(WAITS)
    leader = hand.pid("leader")
    hand.executor.close()
    for _ in range(4):  # others of the same job, so that it is on another page of the listing
        overrides = {"containerOverrides": [{"args": ["true"], "env": []}]}
        api.answer("POST", f"/v2/{PARENT}/team:run", "", {"overrides": overrides})
    assert lives(leader)
    hand.again().recover(hand.handles)
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7
    assert hand.output() == COMPLETED + "Completed: The container exited with an error.\n"


def test_an_end_that_was_reported_and_not_closed_is_found_again(hand: Hand) -> None:
    hand.shell("exit 6")
    first = hand.exit()
    hand.executor.recover(hand.handles)
    assert hand.exit() == first
    hand.executor.close()
    hand.again().recover(hand.handles)
    assert hand.exit() == first


def test_what_was_recorded_and_never_asked_for_never_began(hand: Hand, impatient: None) -> None:
    hand.shell("true")
    hand.exit()
    ghost = changed(dead_launcher(hand.handles[1]), mark="2-of-nobody")
    hand.executor.recover({2: ghost, 3: None})
    for _ in range(2):
        end = hand.exit()
        assert (end.code, end.detail, end.tried) == (None, "lost: never started", False)


def test_while_its_launcher_lives_it_may_yet_be_asked_for(
    hand: Hand, api: CloudRunStub, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby looks at what the leader has recorded."""
    monkeypatch.setattr(client, "HTTP_TIMEOUT", PATIENCE)
    asks = threading.Event()
    api.before = on_run(asks.wait)
    hand.shell(WAITS)
    until(lambda: hand.handles, "the record")
    standby = hand_of(api, hand.executor.log(1).parents[1])
    standby.executor.recover(hand.handles)
    until(lambda: status_message(standby) == "Cloud Run shows no execution of it yet", "the standby to look")
    time.sleep(2 * executor.SETTLE_SECONDS)  # longer than an execution is looked for when nobody may ask
    assert status_message(standby)
    asks.set()
    hand.pid("leader")
    (hand.cwd / "end").touch()
    assert standby.exit() == hand.exit()
    assert len(api.executions) == 1
    standby.executor.close()


def test_of_another_machine_it_is_waited_for_until_the_timeout(hand: Hand, impatient: None) -> None:
    hand.shell("true")
    hand.exit()
    elsewhere = json.loads(json.loads(hand.handles[1])["launcher"]) | {"home": "other:/state"}
    ghost = changed(hand.handles[1], mark="2-of-nobody", launcher=json.dumps(elsewhere))
    hand.executor.recover({2: ghost, 3: changed(ghost, until=time.time() - 60)})
    assert hand.exit().detail == "lost: never started"
    assert status_message(hand) == "Cloud Run shows no execution of it yet"


def test_what_cannot_be_recorded_is_not_asked_for(hand: Hand, api: CloudRunStub) -> None:
    class Full(Exception):
        pass

    def fails(_: object) -> None:
        raise Full

    with pytest.raises(Full):
        hand.executor.launch([Job(attempt=77, argv=("touch", "ran"), cwd=hand.cwd, processor="team")], fails)
    hand.shell("true")
    hand.exit()
    assert len(api.runs) == 1


def test_a_handle_that_is_none_is_lost(hand: Hand) -> None:
    hand.executor.recover({1: "not json"})
    assert hand.exit().detail == "lost: not a handle of a Cloud Run execution: 'not json'"
