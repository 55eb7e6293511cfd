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
    driver_of,
    on_run,
    status_message,
)
from tests.integration.cloud_run.stub import PARENT, CloudRunStub, refuse
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import changed, lives, until
from tests.timeouts import PATIENCE

# ---- as with the local executor


def test_a_job_tells_how_it_ended_and_what_it_wrote(driver: ExecutorDriver, api: CloudRunStub) -> None:
    began = time.time()
    driver.shell(
        'echo out; echo \'{"message": "of JSON"}\'; echo $GIVEN $BACKFILLD_ATTEMPT $OF_THE_JOB >&2; exit 3'
    )
    end = driver.result()
    assert (end.code, end.detail, end.counts_as_attempt) == (3, "", True)
    assert began - 30 < end.ended_at <= time.time() + 1
    ended = "Completed: The container exited with an error.\n"
    assert driver.output() == f"{COMPLETED}{ended}out\nof JSON\nto the job 1 1\n"
    assert driver.log_file(1).stat().st_mode & 0o777 == 0o600
    # And the execution is one task, which Cloud Run ends a minute after the daemon should have
    (overrides,) = api.runs
    assert (overrides["taskCount"], overrides["timeout"]) == (1, "1860s")
    assert overrides["containerOverrides"][0]["args"][:2] == ["sh", "-c"]
    assert driver.executor.poll() == []


def test_a_job_that_does_its_work_ends_with_0(driver: ExecutorDriver) -> None:
    driver.shell("true")
    assert driver.result().code == 0
    assert driver.output() == COMPLETED + "Completed: Execution completed successfully.\n"


def test_a_signal_is_told_as_a_shell_tells_it(driver: ExecutorDriver) -> None:
    driver.shell("kill -6 $$")
    assert driver.result().code == 134


def test_a_job_that_needs_more_memory_than_its_limit_says_so(driver: ExecutorDriver) -> None:
    driver.shell("kill -9 $$")
    end = driver.result()
    assert end.detail == "out of memory: Memory limit of 512 MiB exceeded with 516 MiB used."
    assert (end.code, end.counts_as_attempt) == (None, True)


def test_an_image_that_is_not_there_is_told(driver: ExecutorDriver, api: CloudRunStub) -> None:
    api.images = False
    driver.shell("true")
    assert driver.result().detail == "cannot start: Image 'gcr.io/p/nowhere' not found."


def test_stop_cancels_the_execution(driver: ExecutorDriver, api: CloudRunStub) -> None:
    driver.shell("trap 'touch heard; exit 4' TERM; echo $$ >leader; while :; do sleep 0.02; done")
    leader = driver.pid("leader")
    for attempt in (1, 1, 2):
        driver.executor.stop(attempt, grace=10)
    assert driver.result().code == 4
    assert (driver.cwd / "heard").exists()
    assert not lives(leader)
    assert "Completed: Execution cancelled.\n" in driver.output()


def test_a_job_that_hears_nothing_ends_too(driver: ExecutorDriver, api: CloudRunStub) -> None:
    api.grace = 0.1
    driver.shell("trap '' TERM; echo $$ >leader; while :; do sleep 0.02; done")
    driver.pid("leader")
    driver.executor.stop(1, grace=10)
    assert driver.result().code == 137


def test_a_request_that_is_wrong_is_not_made_again(driver: ExecutorDriver, api: CloudRunStub) -> None:
    def fails() -> None:
        raise refuse(400, "timeout must be at most 168 hours")

    api.before = on_run(fails)
    driver.shell("touch ran")
    end = driver.result()
    told = "cannot start: Cloud Run answers 400: timeout must be at most 168 hours"
    assert (end.code, end.detail, end.counts_as_attempt) == (None, told, True)
    assert api.executions == {}


# ---- a Cloud Run job that would run more than once


@pytest.mark.parametrize(
    ("retries", "tasks", "objection"),
    [
        (3, 1, "team retries a failed task by itself, 3 times: {update} --max-retries 0"),
        (None, 1, "team retries a failed task by itself, 3 times: {update} --max-retries 0"),
        (0, 4, "team is split into 4 tasks: {update} --tasks 1"),
    ],
)
def test_a_job_that_would_run_more_than_once_is_refused(
    driver: ExecutorDriver, api: CloudRunStub, retries: int | None, tasks: int, objection: str
) -> None:
    api.add("team", retries=retries, tasks=tasks)
    driver.shell("touch ran")
    update = "gcloud run jobs update team --project p --region us-west2"
    assert driver.result().detail == f"cannot start: {objection.format(update=update)}"
    assert api.runs == []


# ---- a daemon that dies


def test_a_running_execution_is_adopted(driver: ExecutorDriver, api: CloudRunStub) -> None:
    driver.shell(WAITS)
    leader = driver.pid("leader")
    driver.executor.close()
    for _ in range(4):  # others of the same job, so that it is on another page of the listing
        overrides = {"containerOverrides": [{"args": ["true"], "env": []}]}
        api.answer("POST", f"/v2/{PARENT}/team:run", "", {"overrides": overrides})
    assert lives(leader)
    driver.restart().recover(driver.handles)
    (driver.cwd / "end").touch()
    assert driver.result().code == 7
    assert driver.output() == COMPLETED + "Completed: The container exited with an error.\n"


def test_while_its_launcher_lives_it_may_yet_be_asked_for(
    driver: ExecutorDriver, api: CloudRunStub, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby looks at what the leader has recorded."""
    monkeypatch.setattr(client, "HTTP_TIMEOUT", PATIENCE)
    asks = threading.Event()
    api.before = on_run(asks.wait)
    driver.shell(WAITS)
    until(lambda: driver.handles, "the record")
    standby = driver_of(api, driver.log_file(1).parents[1])
    standby.executor.recover(driver.handles)
    until(lambda: status_message(standby) == "Cloud Run shows no execution of it yet", "the standby to look")
    time.sleep(2 * executor.SEARCH_SECONDS)  # longer than an execution is looked for when nobody may ask
    assert status_message(standby)
    asks.set()
    driver.pid("leader")
    (driver.cwd / "end").touch()
    assert standby.result() == driver.result()
    assert len(api.executions) == 1
    standby.executor.close()


def test_of_another_machine_it_is_waited_for_until_the_timeout(
    driver: ExecutorDriver, impatient: None
) -> None:
    driver.shell("true")
    driver.result()
    elsewhere = json.loads(json.loads(driver.handles[1])["launcher"]) | {"executor": "other:/state"}
    ghost = changed(driver.handles[1], correlation_id="2-unknown", launcher=json.dumps(elsewhere))
    driver.executor.recover({2: ghost, 3: changed(ghost, until=time.time() - 60)})
    assert driver.result().detail == "lost: never started"
    assert status_message(driver) == "Cloud Run shows no execution of it yet"


def test_what_cannot_be_recorded_is_not_asked_for(driver: ExecutorDriver, api: CloudRunStub) -> None:
    class Full(Exception):
        pass

    def fails(_: object) -> None:
        raise Full

    with pytest.raises(Full):
        driver.executor.launch(
            [Job(attempt=77, argv=("touch", "ran"), cwd=driver.cwd, processor="team")], fails
        )
    driver.shell("true")
    driver.result()
    assert len(api.runs) == 1
