"""Check commands as people meet them: real processes behind API, page, command line and reports."""

import threading

import pytest

from backfilld.daemon.executors.local.check_command_runner import CheckProcesses
from backfilld.daemon.preflight import jobs
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.reports import quality, state_lookup
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import GAMES, OPENER, Api, refused
from tests.integration.command_line import beside
from tests.integration.real_jobs import until
from tests.simulation.world import World

DAY = str(OPENER)
SCRIPT = 'echo "$BACKFILLD_PROCESSOR of $1"; test -e good'
NAME = f'check "sh -c \'echo "$BACKFILLD_PROCESSOR of $1"; test -e good\' sh {DAY}"'
PATH = f"/v1/dates/{DAY}/checks/box/log"


class RealChecks(CheckProcesses):
    """Check commands as processes, in a world whose clock does not wait for them."""

    def next_end(self) -> None:
        """It is not known beforehand."""

    def forget(self) -> None:
        """A new daemon knows nothing of them."""


@pytest.fixture
def api(tmp_path):
    rule = {"check": {"command": ["sh", "-c", SCRIPT, "sh", "{date}"]}}
    made = pipeline(
        phase("raw", processor("box", expect=rule)),
        phase("derived", processor("team")),
        at=tmp_path / "pipeline.toml",
        jobs={"max_attempts": 1},
    )
    world = World(made, GAMES, tmp_path)
    world.ended = threading.Event()
    world.checks = RealChecks(tmp_path, on_end=world.ended.set)
    world.start()
    yield Api(world)
    world.checks.close()
    world.db.close()


def finish(world):
    """Go on until nothing moves, and no check command runs."""
    until(lambda: (world.run(), not world.checks.running)[1])
    world.run()


def test_its_end_and_its_log_are_where_an_operator_looks(api, monkeypatch, capsys, tmp_path):
    world = api.world
    api.enqueue(DAY)
    finish(world)
    # Then the date has failed by its check
    date = api.get(f"/v1/dates/{DAY}")
    box = date["processors"][0]
    assert box["reason"] == f"{NAME} exited 1: box of {DAY}"
    assert date["attempts"][0]["verdict"] == "degraded"
    # And each view of it names its log
    assert box["check_log"] == PATH
    assert f'<a href="{PATH}">log of its check</a>' in api.client.get(f"/dates/{DAY}").text
    answer = api.client.get(PATH, buffered=True)
    assert (answer.text, answer.headers["X-Check-Status"]) == (f"box of {DAY}\n", "ended")
    with beside(api, monkeypatch, capsys) as command:
        assert command("status", DAY).rows(f"log of its check: backfilld logs {DAY} box --check")
        assert command("logs", DAY, "box", "--check").out == f"box of {DAY}\n"
        assert "--check takes a date and PROCESSOR" in command("logs", "1", "--check").err
    for path, problem in (
        (PATH.replace("box", "bx"), "there is no check command of 'bx'; did you mean 'box'?"),
        (PATH.replace("19", "20"), "the log of the check of box for 2021-10-20 was deleted or never started"),
    ):
        assert refused(api.client.get(path), 404)[1] == problem
    # When the reason is gone, then a retry ends well
    (tmp_path / "good").touch()
    api.post(f"/v1/dates/{DAY}/retry")
    finish(world)
    assert api.get(f"/v1/dates/{DAY}")["outcome"] == "complete"


def test_reports_use_results_of_the_output_as_it_is_and_say_where_there_are_none(api, tmp_path):
    world, pipeline_ = api.world, api.world.pipeline
    other = OPENER.replace(day=20)
    for date in (OPENER, other):
        world.fill("box", date)
    api.enqueue(DAY)
    finish(world)
    # Then a report has the result of the date that was checked, and names the other one
    report = api.get(f"/v1/validation?start={DAY}&end={other}")
    (box,) = report["phases"][0]["processors"]
    assert box["dates"][DAY]["verdict"] == "degraded"
    assert box["dates"][str(other)]["verdict"] == "complete"
    assert box["dates"][str(other)]["reason"].endswith("not run")
    assert report["checks_not_run"] == {"box": [str(other)]}
    assert api.get(f"/v1/plan?start={DAY}&end={other}")["check_commands"] == {"box": 2}
    assert "check commands not run: 1" in api.get(f"/v1/quality?start={DAY}&end={other}")["summary"]
    assert (
        "no check command runs" in api.get(f"/v1/expectations/blindness?start={DAY}&end={other}")["summary"]
    )
    # And a result about an output that was written since is no result
    world.fill("box", OPENER)
    report = api.get(f"/v1/validation?start={DAY}&end={other}")
    assert report["checks_not_run"] == {"box": [DAY, str(other)]}
    # Nor is there one without a state database
    alone = quality.quality(pipeline_, world.warehouse, OPENER, other, now=world.time)
    assert alone.summary.endswith("check commands not run: 2")
    assert state_lookup.known_checks(world.db, pipeline_, OPENER, other)[OPENER]["box"].check_run


def test_preflight_finds_a_check_whose_program_does_not_exist(tmp_path):
    made = pipeline(
        phase(
            "raw",
            processor("box", expect={"check": {"command": ["no-such-program"]}}),
            processor("odds", expect={"check": {"command": ["{python}", "check.py", "{date}"]}}),
            processor("team", expect={"check": {"command": ["true"]}}),
        ),
        at=tmp_path / "pipeline.toml",
    )
    unused = dict.fromkeys(("warehouse", "catalog", "state_dir", "database_url"))
    context = PreflightContext(pipeline=made, start=OPENER, end=OPENER, now=0.0, **unused)
    found = [finding.line for finding in jobs.programs(context)]
    assert "box: expect.check: the program no-such-program does not exist or cannot be executed" in found
    assert any(line.startswith("odds: expect.check: the script") for line in found)
    assert not any("team" in line for line in found)
