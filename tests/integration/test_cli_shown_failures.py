"""What the command line shows of failures: each once, also of the last moment, by the line that tells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.api.cli import watch_loop
from backfilld.daemon.executors.attempt_files import FileLog
from tests.integration.api_world import Api, make_api, small_pipeline
from tests.integration.command_line import CommandLine, beside
from tests.simulation.world import Work

DATE = "2021-10-28"
WAIT = ("enqueue", "2021-10-27", "2021-10-29", "--wait")


def fail(api: Api, processor: str) -> None:
    """Let the jobs of a processor fail on one date, between two looks of whoever waits."""

    def script(job):  # type: ignore[no-untyped-def]
        one = (job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"])
        return Work(code=1) if one == (processor, DATE) else api.world.well(job)

    api.world.script = script


@pytest.fixture
def at_once(api: Api, command: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that can happen happens between two looks."""
    monkeypatch.setattr(watch_loop.time, "sleep", lambda seconds: api.world.run())


@pytest.mark.usefixtures("at_once")
def test_failures_of_the_last_moment_are_printed_and_waived_dates_are_counted(api, command):
    # Given an optional source that fails on one date
    fail(api, "extra")
    # When all of it has happened since the last look
    ended = command(*WAIT)
    # Then each of its attempts is printed, and the date is counted as waived
    assert len(ended.rows(f"✗ {DATE} extra exited 1 → backfilld logs")) == 3
    (last,) = ended.rows("backfill 1 is finished")
    assert "3 done (1 waived) of 2021-10-27..2021-10-29" in last
    assert ended.out.index("extra exited 1") < ended.out.index("is finished")
    assert ended.code == 0


@pytest.mark.usefixtures("at_once")
def test_watch_prints_them_too_and_status_says_waived(api, command):
    fail(api, "extra")
    command("enqueue", "2021-10-27", "2021-10-29")
    assert len(command("watch", "1", "--failures").rows(f"✗ {DATE} extra exited 1")) == 3
    lines = command("status").out.splitlines()
    assert lines[0] == "3 of 3 dates done (1 waived), 0 failed, 0 live"
    (extra,) = (line for line in lines if line.startswith("  extra"))
    assert extra.endswith("✗ 1  1 waived")
    assert any("3 done (1 waived)" in line for line in lines if line.startswith("1 "))


@pytest.mark.usefixtures("at_once")
def test_failures_of_the_last_moment_are_printed_where_the_date_fails(api, command):
    fail(api, "box")
    ended = command(*WAIT)
    assert len(ended.rows(f"✗ {DATE} box exited 1 → backfilld logs")) == 3
    assert len(ended.rows(f"✗ {DATE} exhausted")) == 1
    assert "waived" not in ended.out
    assert ended.code == 1


@pytest.fixture
def patterned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[tuple[Api, CommandLine]]:
    """An API and a command line beside jobs whose log names the error above its last line."""
    jobs = {"error_pattern": "Error: .*", "max_attempts": 1}
    api = make_api(tmp_path, made=lambda: small_pipeline(jobs=jobs))
    log = tmp_path / "1.log"
    log.write_text("starts\nError: no such column\n\nprogress 20 %\n")
    monkeypatch.setattr(api.world.executor, "log", lambda number: FileLog(log))
    with beside(api, monkeypatch, capsys) as command:
        yield api, command


def test_the_line_that_error_pattern_chooses_is_shown_wherever_a_failed_attempt_is(patterned):
    api, command = patterned
    fail(api, "box")
    told = "exit 1: Error: no such column"
    assert command(*WAIT).rows(f"✗ {DATE} box exited 1: Error: no such column → backfilld logs")
    # Then the date shows it in the verdict and with the attempt
    shown = command("status", DATE).out
    assert f"the latest run failed ({told})" in shown
    assert "      Error: no such column  → backfilld logs" in shown
    assert "progress 20 %" not in shown
    (attempt,) = api.get("/v1/attempts?failed=true")["items"]
    assert attempt["last_line"] == "Error: no such column"


def test_the_last_line_is_shown_of_jobs_that_exited_with_0(patterned):
    api, command = patterned
    command(*WAIT)
    (*_, attempt) = api.get("/v1/attempts")["items"]
    assert attempt["last_line"] == "progress 20 %"
