"""The units, by systemd's own tools."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from backfilld.daemon.settings import VARIABLES
from tests.deploy import DEPLOY, run

pytestmark = pytest.mark.packages

UNITS = DEPLOY / "systemd"
SERVICE = (UNITS / "backfilld@.service").read_text(encoding="utf-8")
OPERATIONS = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(params=["alone", "with jobs.conf"])
def installed(request, tmp_path):
    """The service as installed, with this checkout's command, with or without the drop-in for jobs."""
    command = Path(sys.executable).with_name("backfilld")
    unit = tmp_path / "backfilld@.service"
    unit.write_text(SERVICE.replace("/opt/backfilld/bin/backfilld", str(command)))
    if request.param != "alone":
        (tmp_path / "backfilld@.service.d").mkdir()
        shutil.copy(UNITS / "jobs.conf", tmp_path / "backfilld@.service.d")
    return unit


def test_systemd_finds_nothing_to_complain_about(installed):
    assert run("systemd-analyze", "verify", "--man=no", installed) == ""


@pytest.mark.parametrize("name", ["backfilld-dask-scheduler.service", "backfilld-dask-worker.service"])
def test_the_units_of_a_dask_cluster_run_the_documented_lines(name, tmp_path):
    text = (UNITS / name).read_text(encoding="utf-8")
    unit = tmp_path / name
    unit.write_text(text.replace("/opt/backfilld/bin", str(Path(sys.executable).parent)))
    assert run("systemd-analyze", "verify", "--man=no", unit) == ""
    # Then its command is that of the manual, with the addresses of dask.env
    variables = dict(re.findall(r"^(\w+)=(.*)", (UNITS / "dask.env").read_text(), re.MULTILINE))
    ((command, words),) = re.findall(r"^ExecStart=/opt/backfilld/bin/(dask \w+) (.+)", text, re.MULTILINE)
    line = re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], words)
    ((documented),) = re.findall(rf"^\$ {command} (.+)", OPERATIONS, re.MULTILINE)
    assert line.removeprefix("--protocol tcp ").replace("10.0.0.6", "10.0.0.5") == documented.replace(
        "10.0.0.6", "10.0.0.5"
    )


def test_a_mistake_in_a_unit_would_be_found(installed):
    installed.write_text(installed.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in run("systemd-analyze", "verify", "--man=no", installed)


def test_the_exposure_is_the_documented_one_and_at_most_two(installed):
    told = run("systemd-analyze", "security", "--offline=true", "--threshold=20", installed)
    figure = re.search(r"Overall exposure level for \S+: (\d\.\d)", told)
    opened = installed.with_name("backfilld@.service.d").exists()
    assert figure is not None
    assert (f"{figure[1]} with the drop-in" if opened else f"exposure is {figure[1]}") in OPERATIONS


def test_jobs_live_on_and_the_engine_is_watched():
    for line in (
        "Type=notify",
        "KillMode=process",
        "NotifyAccess=main",
        "WatchdogSec=5min",
        "OOMPolicy=continue",
    ):
        assert line in SERVICE.splitlines()


def test_a_reload_signals_the_daemon_first_and_fails_with_a_refused_file():
    reloads = re.findall(r"^ExecReload=(.+)", SERVICE, re.MULTILINE)
    assert reloads == ['/bin/sh -c "kill -HUP ${MAINPID}"', "/opt/backfilld/bin/backfilld pipeline check"]


def test_the_user_can_be_made():
    lines = run("systemd-sysusers", "--dry-run", UNITS / "backfilld.sysusers.conf").splitlines()
    assert [line for line in lines if "Creating user 'backfilld-nba'" in line]


def test_the_example_environment_names_settings_that_exist():
    named = set(re.findall(r"\b(BACKFILLD_\w+)=", SERVICE + (UNITS / "nba.env").read_text(encoding="utf-8")))
    assert named
    assert named <= set(VARIABLES)
