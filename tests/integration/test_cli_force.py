"""`enqueue --force --wait`: what a person reads of a rerun that fails or writes nothing."""

from pathlib import Path

import pytest

from tests.integration.command_line import beside
from tests.simulation.world import Work

STYLES = Path(__file__).parents[2] / "api/page/static/page.css"
DATE = "2021-10-28"
FORCE = ("enqueue", DATE, "--force", "--wait")


@pytest.fixture
def command(api, monkeypatch, capsys):
    """The command line beside an API on which the date is done."""
    with beside(api, monkeypatch, capsys) as found:
        assert found("enqueue", DATE, "--wait").code == 0
        api.world.executor.launched.clear()
        yield found


def does(api, work: Work) -> None:
    api.world.script = lambda job: work if job.env["BACKFILLD_PROCESSOR"] == "box" else api.world.well(job)


def test_s1_a_forced_job_that_exits_1_ends_the_wait_with_1_and_starts_nothing_after_it(command, api):
    does(api, Work(code=1))
    ended = command(*FORCE)
    assert ended.code == 1
    assert len(ended.rows(f"✗ {DATE} box exited 1")) == 3
    assert ended.rows(f"✗ {DATE} exhausted: box: failed: the rerun failed (exit 1)")
    phase2 = {"box", "extra"}
    assert {job.env["BACKFILLD_PROCESSOR"] for job in api.world.executor.launched} == phase2
    assert api.get(f"/v1/dates/{DATE}")["outcome"] == "exhausted"


def test_t6_a_forced_job_that_writes_nothing_ends_the_wait_with_1_and_says_untouched(command, api):
    does(api, Work())
    assert command(*FORCE).code == 1
    shown = command("status", DATE)
    assert shown.rows("⚠ box untouched")
    assert shown.rows("exited 0, but the partition was not rewritten since")
    (box,) = [p for p in api.get(f"/v1/dates/{DATE}")["processors"] if p["processor"] == "box"]
    assert (box["verdict"], box["symbol"]) == ("untouched", "⚠")
    assert api.scrape()['backfilld_processor_dates{phase="phase2",processor="box",verdict="untouched"}'] == 1


def test_a_forced_job_that_writes_the_same_rows_ends_the_wait_with_0(command):
    assert command(*FORCE).code == 0


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (Work(code=1), "the rerun failed (exit 1); "),
        (Work(), "exited 0, but the partition was not rewritten since "),
    ],
)
def test_a_validation_names_a_failed_rerun_beside_the_rows_that_it_was_to_replace(command, api, work, why):
    clean = api.get(f"/v1/validation?start={DATE}")
    assert (clean["failed_reruns"], clean["warnings"]) == ({}, [])
    does(api, work)
    command(*FORCE)
    found = api.get(f"/v1/validation?start={DATE}")
    # The rows are complete, and a new request would pass by them
    assert found["ready"]
    assert found["failed_reruns"]["box"][DATE].startswith(why)
    (warning,) = found["warnings"]
    assert warning.startswith(f"failed reruns: box on {DATE}: {why}")
    assert warning.endswith(f"; backfilld retry {DATE} runs it again")
    assert found["next_action"].startswith(f"backfilld retry {DATE}: ready in every phase, but by rows")


def test_a_request_says_that_it_does_not_repeat_a_failed_rerun(command, api):
    does(api, Work(code=1))
    command(*FORCE)
    why = "failed before: the rerun of box; judged by the rows that are there, --force runs it again"
    assert command("enqueue", DATE, "--dry-run").rows(f"{DATE} enqueued {why}")
    assert not command("enqueue", DATE, "--force", "--dry-run").rows("failed before")
    assert command("enqueue", DATE, "--wait").rows(f"{DATE} enqueued {why}")
    # Once a request has passed by the rows, the rerun is owed no more
    assert api.get(f"/v1/validation?start={DATE}")["warnings"] == []


def test_the_page_shows_untouched_in_the_colour_of_a_warning(command, api):
    does(api, Work())
    command(*FORCE)
    assert "v-untouched" in api.client.get(f"/dates/{DATE}").text
    styles = STYLES.read_text(encoding="utf-8")
    warned = next(line for line in styles.splitlines() if ".v-partial" in line)
    assert ".v-untouched" in warned
