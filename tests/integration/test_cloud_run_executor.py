"""Jobs as Cloud Run executions: begun once, whatever becomes of daemon, API and answers."""

import datetime as dt
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.executors import Job, cloud_run, cloud_run_api
from daemon.executors.cloud_run import CloudRun
from daemon.preflight.cloud_run import cloud_run_jobs
from daemon.preflight.site import Site
from state.pipeline import Pipeline
from state.sources import CloudRunJobs
from tests.checkout import Tables
from tests.factories import NOW, phase, pipeline, processor
from tests.facts import Facts
from tests.integration.bigquery_stub import Answer
from tests.integration.cloud_run_stub import PARENT, CloudRunStub, Dropped, refuse, serving
from tests.integration.hand import Hand
from tests.integration.real_jobs import changed, lives, until

WAITS = "echo $$ >leader; until test -e end; do sleep 0.02; done; exit 7"
COMPLETED = (
    "execution team-00000 of the Cloud Run job team\noutput: https://console.example.com/logs/team-00000\n"
)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[CloudRunStub]:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    with serving(cwd, "team") as stub:
        yield stub


def hand_of(api: CloudRunStub, root: Path) -> Hand:
    source = CloudRunJobs.model_validate(
        {"project": "p", "region": "us-west2", "endpoint": api.address, "look": "0.05s"}
    )
    names = {"team": f"{PARENT}/team"}
    return Hand(
        api.cwd, lambda on_end: CloudRun(root, source, names, on_end=on_end), processor="team", timeout=1800.0
    )


@pytest.fixture
def hand(api: CloudRunStub, tmp_path: Path) -> Iterator[Hand]:
    hand = hand_of(api, tmp_path / "attempts")
    yield hand
    hand.executor.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be found is given up soon."""
    monkeypatch.setattr(cloud_run, "SETTLE_SECONDS", 0.15)


def remark(hand: Hand) -> str:
    """What keeps the one attempt under way; it has not ended."""
    (seen,) = hand.executor.poll()
    assert seen.exit is None
    return seen.remark


def dead_launcher(handle: str) -> str:
    """The handle as a process that is gone recorded it."""
    launcher = json.loads(json.loads(handle)["launcher"])
    return changed(handle, launcher=json.dumps({**launcher, "start": 1}))


def on_run(does: Callable[[], object]) -> Callable[[str, str], None]:
    """For the stub: do something at each request to run a job."""
    return lambda method, path: does() if path.endswith(":run") else None


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


def test_output_that_comes_late_is_read_once_more(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_run, "LATE_SECONDS", 0.2)
    hand.shell("echo out")

    def denied() -> None:
        raise refuse(403, "Permission denied")

    api.logging = denied
    assert hand.exit().code == 0
    why = "[backfilld: Cloud Logging does not show the output: 403 Client Error: Forbidden for url: "
    assert hand.output().startswith(f"{COMPLETED}Completed: Execution completed successfully.\n{why}")
    api.logging = lambda: None
    until(lambda: hand.output().endswith("\nout\n"), "the output")


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
    hand: Hand, api: CloudRunStub, impatient: None
) -> None:
    """A standby looks at what the leader has recorded."""
    asks = threading.Event()
    api.before = on_run(asks.wait)
    hand.shell(WAITS)
    until(lambda: hand.handles, "the record")
    standby = hand_of(api, hand.executor.log(1).parents[1])
    standby.executor.recover(hand.handles)
    until(lambda: remark(standby) == "Cloud Run shows no execution of it yet", "the standby to look")
    time.sleep(2 * cloud_run.SETTLE_SECONDS)  # longer than an execution is looked for when nobody may ask
    assert remark(standby)
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
    assert remark(hand) == "Cloud Run shows no execution of it yet"


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


# ---- an API that does not answer


ANSWERS = {
    "403": lambda: refuse(403, "Permission denied"),
    "404": lambda: refuse(404, "It does not exist"),
    "429": lambda: refuse(429, "Quota exceeded"),
    "503": lambda: refuse(503, "Not now"),
    "another shape": lambda: Answer(502, {"error": "bad gateway"}),
    "no JSON": lambda: Answer(200, "<html>"),
    "no answer": Dropped,
}
TOLD = {
    "403": "Cloud Run answers 403: Permission denied",
    "404": "Cloud Run answers 404: It does not exist",
    "429": "Cloud Run answers 429: Quota exceeded",
    "503": "Cloud Run answers 503: Not now",
    "another shape": "Cloud Run gives no usable answer: ",
    "no JSON": "Cloud Run gives no usable answer: Failed to load JSON: ",
    "no answer": "Cloud Run cannot be reached: Remote end closed connection without response ",
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_attempt_waits_for_an_api_that_does_not_answer(
    hand: Hand, api: CloudRunStub, answer: str, impatient: None
) -> None:
    """All it asks fails, at first before it could begin, then while it runs."""
    made, told = ANSWERS[answer], TOLD[answer]

    def fails(method: str, path: str) -> None:
        raise made()

    api.before = fails
    hand.shell(WAITS)
    until(lambda: remark(hand).startswith(told), told)
    assert api.runs == []
    api.before = lambda method, path: None
    leader = hand.pid("leader")
    until(lambda: not remark(hand), "the execution to be seen")
    api.before = fails
    until(lambda: remark(hand).startswith(told), told)
    time.sleep(2 * cloud_run.SETTLE_SECONDS)  # longer than an execution is looked for
    assert remark(hand).startswith(told)
    assert lives(leader)
    (hand.cwd / "end").touch()
    api.before = lambda method, path: None
    assert hand.exit().code == 7
    assert len(api.executions) == 1


@pytest.mark.parametrize("answer", ["403", "404", "429"])
def test_a_refused_execution_is_asked_for_again(hand: Hand, api: CloudRunStub, answer: str) -> None:
    made, told = ANSWERS[answer], TOLD[answer]

    def fails() -> None:
        raise made()

    api.before = on_run(fails)
    hand.shell("true")
    until(lambda: remark(hand).startswith(told), told)
    api.before = lambda method, path: None
    assert hand.exit().code == 0
    assert len(api.executions) == 1


@pytest.mark.parametrize("answer", ["503", "no JSON", "no answer"])
def test_an_execution_whose_answer_is_lost_is_found(hand: Hand, api: CloudRunStub, answer: str) -> None:
    def fails() -> None:
        raise ANSWERS[answer]()

    api.after = on_run(fails)
    hand.shell(WAITS)
    hand.pid("leader")
    (hand.cwd / "end").touch()
    assert hand.exit().code == 7
    assert len(api.runs) == 1


def test_an_answer_that_takes_too_long_is_lost_too(
    hand: Hand, api: CloudRunStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_run_api, "HTTP_TIMEOUT", 0.2)
    late = threading.Event()
    api.after = on_run(late.wait)
    hand.shell("exit 5")
    assert hand.exit().code == 5
    late.set()
    assert len(api.runs) == 1


def test_what_came_of_no_answer_is_looked_for_before_it_is_asked_for_again(
    hand: Hand, api: CloudRunStub, impatient: None
) -> None:
    asked: list[str] = []

    def lost(method: str, path: str) -> None:
        asked.append(path.rpartition("/")[2])
        if asked.count("team:run") == 1 and path.endswith(":run"):
            raise Dropped

    api.before = lost
    hand.shell("exit 5")
    assert hand.exit().code == 5
    first, second = [n for n, path in enumerate(asked) if path == "team:run"]
    assert "executions" in asked[first:second]
    assert len(api.executions) == 1


def test_what_may_have_been_asked_for_waits_while_nobody_can_look(
    hand: Hand, api: CloudRunStub, impatient: None
) -> None:
    def lost(method: str, path: str) -> None:
        if path.endswith(":run"):
            raise Dropped
        if path.endswith("/executions"):
            raise refuse(403, "Permission 'run.executions.list' denied")

    api.after = lost
    hand.shell(WAITS)
    told = "Cloud Run answers 403: Permission 'run.executions.list' denied"
    until(lambda: remark(hand).startswith(told), told)
    hand.executor.stop(1, grace=0)
    time.sleep(2 * cloud_run.SETTLE_SECONDS)  # longer than an execution is looked for
    assert remark(hand).startswith(told)
    # When it can be looked for again, it is found, and ended
    api.after = lambda method, path: None
    assert hand.exit().code == 143
    assert len(api.runs) == 1


def test_an_attempt_that_waits_to_begin_can_be_ended(hand: Hand, api: CloudRunStub) -> None:
    def fails() -> None:
        raise refuse(429, "Quota exceeded")

    api.before = on_run(fails)
    hand.shell("touch ran")
    until(lambda: remark(hand) == "Cloud Run answers 429: Quota exceeded", "the refusal")
    hand.executor.stop(1, grace=10)
    end = hand.exit()
    assert (end.code, end.detail, end.tried) == (None, "lost: ended before it began", False)
    assert api.executions == {}


def test_an_execution_that_somebody_deleted_is_lost_once_a_listing_shows_it(
    hand: Hand, api: CloudRunStub, impatient: None
) -> None:
    hand.shell(WAITS)
    hand.pid("leader")
    until(hand.output, "the execution to be seen")
    (execution,) = api.executions.values()
    execution.kill(signal.SIGKILL)
    execution.process.wait()
    api.executions.clear()
    end = hand.exit()
    assert (end.detail, end.tried) == ("lost: its execution is gone", True)


def test_a_slow_api_keeps_nobody_waiting(hand: Hand, api: CloudRunStub) -> None:
    answers = threading.Event()

    def hangs(method: str, path: str) -> None:
        answers.wait()

    api.before = hangs
    hand.shell("true")
    hand.executor.recover({2: None})
    assert {seen.attempt for seen in hand.executor.poll()} == {1, 2}
    hand.executor.stop(2, grace=0)
    answers.set()
    assert hand.exit().code == 0


def test_two_daemons_see_the_same_end(hand: Hand, api: CloudRunStub, tmp_path: Path) -> None:
    hand.shell(WAITS)
    hand.pid("leader")
    other = hand_of(api, tmp_path / "standby")
    other.executor.recover(hand.handles)
    (hand.cwd / "end").touch()
    assert other.exit() == hand.exit()
    other.executor.close()


# ---- preflight


def site_of(made: Pipeline) -> Site:
    day = dt.date(2021, 10, 19)
    return Site(
        pipeline=made,
        warehouse=Facts(made),
        catalog=Tables(made),
        start=day,
        end=day,
        state_dir=None,
        database_url=None,
        now=NOW,
    )


def test_preflight_finds_jobs_that_are_missing_or_would_run_more_than_once(api: CloudRunStub) -> None:
    api.add("zones", retries=3)
    place = {"project": "p", "region": "us-west2", "endpoint": api.address}
    away = [processor(name, executor="cloud-run") for name in ("team", "box_scores", "zones")]
    made = pipeline(phase("raw", *away, processor("local")), executor={"cloud-run": place})
    found = [(one.status.value, one.line, one.hint) for one in cloud_run_jobs(site_of(made))]
    assert found == [
        (
            "fail",
            "box_scores: Cloud Run answers 404: Resource 'box-scores' of kind 'JOB' does not exist.",
            "check cloud_run_job, project, region and roles/run.developer: it is asked about "
            f"{PARENT}/box-scores",
        ),
        (
            "fail",
            "zones: zones runs a failed task again by itself, 3 times",
            "gcloud run jobs update zones --project p --region us-west2 --max-retries 0",
        ),
        ("pass", "1 job can be executed, once each", ""),
    ]


def test_preflight_asks_nothing_where_no_job_runs_there() -> None:
    made = pipeline(phase("raw", processor("team")))
    assert [one.line for one in cloud_run_jobs(site_of(made))] == ["no job runs there"]
