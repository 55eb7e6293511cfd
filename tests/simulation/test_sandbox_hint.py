"""An attempt that the service's sandbox may have refused points to where the sandbox is opened."""

import datetime as dt

import pytest

from backfilld.daemon.executors.attempt_files import FileLog
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.world import Work, World

DAY = dt.date(2021, 10, 27)
HINT = "; if the sandbox of backfilld@nba.service refuses that, open it with deploy/systemd/jobs.conf"


def detail(tmp_path, output, service, **work):
    """What the check of a failed attempt says, whose last output was this."""
    world = World(pipeline(phase("phase2", processor("box"))), {DAY: 3}, tmp_path)
    object.__setattr__(world.context, "service", service)
    (tmp_path / "log").write_text(output)
    world.executor.log = lambda attempt: FileLog(tmp_path / "log")
    world.script = lambda job: Work(**{"code": 1, **work})
    world.enqueue(DAY, DAY)
    world.run()
    with world.db.read() as tx:
        return checks.for_dates(tx, [DAY])[DAY]["box"].last_attempt_detail


@pytest.mark.parametrize(
    "output",
    [
        "OSError: [Errno 30] Read-only file system: '/srv/lake/x'\n",
        "PermissionError: [Errno 13] Permission denied: '/home/deploy'\nfailed\n",
    ],
)
def test_what_a_sandbox_refuses_points_to_the_dropin(tmp_path, output):
    assert detail(tmp_path, output, "backfilld@nba.service") == f"exit 1: {output.splitlines()[-1]}{HINT}"


@pytest.mark.parametrize(
    "refusal",
    [
        "Permission denied: /home/deploy/nba-platform",
        "No such file or directory: /home/deploy/nba-platform",
        "No such file or directory: /root/nba-platform",
    ],
)
def test_a_directory_that_a_sandbox_hides_from_the_launch_points_to_the_dropin(tmp_path, refusal):
    end = detail(tmp_path, "", "backfilld@nba.service", starts=False, refusal=refusal)
    assert end == f"lost: cannot start: {refusal}{HINT}"


def test_a_missing_directory_that_no_sandbox_hides_is_no_matter_of_the_sandbox(tmp_path):
    missing = "No such file or directory: /srv/nba-platform"
    end = detail(tmp_path, "", "backfilld@nba.service", starts=False, refusal=missing)
    assert end == f"lost: cannot start: {missing}"


def test_without_a_service_no_sandbox_is_suspected(tmp_path):
    output = "OSError: [Errno 30] Read-only file system: '/x'"
    assert detail(tmp_path, output, "") == f"exit 1: {output}"


def test_another_failure_in_a_service_says_nothing_about_the_sandbox(tmp_path):
    assert detail(tmp_path, "KeyError: 'x'", "backfilld@nba.service") == "exit 1: KeyError: 'x'"


def test_control_characters_of_a_job_reach_no_reason_and_a_flood_is_cut(tmp_path):
    output = "\x1b[31mred\x1b[0m \x07" + "x" * 1500
    assert detail(tmp_path, output, "") == "exit 1: red  " + "x" * 195
