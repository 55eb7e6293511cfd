"""What a service lets its jobs do, read from its unit and drop-ins as systemd reads them."""

import os
import pwd
from pathlib import Path

import pytest

from backfilld.daemon.preflight.findings import FindingStatus
from backfilld.daemon.preflight.service_sandbox import sandbox
from backfilld.daemon.read_service_unit import ServiceUnit
from backfilld.daemon.settings import SettingsError
from backfilld.state.pipeline.pipeline import Pipeline
from tests.deploy import DEPLOY
from tests.factories import phase, pipeline, processor
from tests.permissions import without_root_file_access

UNIT = (DEPLOY / "systemd" / "backfilld@.service").read_text(encoding="utf-8")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    folder = tmp_path / "system"
    folder.mkdir()
    (folder / "backfilld@.service").write_text(UNIT)
    return folder


def dropin(folder: Path, text: str, name: str = "backfilld@nba.service.d/jobs.conf") -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(f"[Service]\n{text}\n")


def unit(folder: Path) -> ServiceUnit:
    return ServiceUnit.load("nba", [folder])


def lines(pipeline: Pipeline, folder: Path, status: FindingStatus = FindingStatus.FAIL) -> list[str]:
    return [finding.line for finding in sandbox(pipeline, unit(folder)) if finding.status is status]


def test_the_service_sees_the_environment_of_its_instance(installed: Path) -> None:
    environment = unit(installed).environment()
    assert environment["BACKFILLD_PIPELINE"] == "/etc/backfilld/nba.toml"
    assert environment["BACKFILLD_STATE_DIR"] == "/var/lib/backfilld/nba"
    assert environment["HOME"] == "/var/lib/backfilld/nba/home"


@pytest.mark.parametrize("home", ["/home/deploy/nba", "/root/nba", "/run/user/1000/nba"])
def test_a_job_in_a_home_is_hidden_until_a_dropin_shows_it(installed: Path, home: str) -> None:
    box = pipeline(phase("raw", processor("box", cwd=home)))
    assert f"box: {home} is hidden from backfilld@nba.service by ProtectHome=yes" in lines(box, installed)
    dropin(installed, f"ProtectHome=tmpfs\nBindReadOnlyPaths=-{home}")
    assert not [line for line in lines(box, installed) if line.startswith("box")]
    # A drop-in of another name that comes later wins
    dropin(installed, "ProtectHome=yes", "backfilld@.service.d/zz.conf")
    assert f"box: {home} is hidden from backfilld@nba.service by ProtectHome=yes" in lines(box, installed)


def test_the_home_of_jobs_and_the_state_directory_can_be_written_and_nothing_else(installed: Path) -> None:
    found = unit(installed)
    assert found.protecting(Path("/var/lib/backfilld/nba/home/.cache")) == ""
    assert found.protecting(Path("/srv/lake")) == "ProtectSystem=strict"
    assert found.protecting(Path("/tmp/lake")) == "BindPaths=/var/lib/backfilld/nba/tmp:/tmp"
    dropin(installed, "ReadWritePaths=-/srv/lake")
    assert unit(installed).protecting(Path("/srv/lake/raw")) == ""
    # An empty value takes back what was listed before
    dropin(installed, "ReadWritePaths=\nReadWritePaths=/srv/other", "backfilld@nba.service.d/z.conf")
    assert unit(installed).protecting(Path("/srv/lake/raw")) == "ProtectSystem=strict"


def test_a_home_that_cannot_be_written_is_warned_of(installed: Path) -> None:
    box = pipeline(phase("raw", processor("box", cwd="/srv")))
    assert lines(box, installed, FindingStatus.WARN) == []
    dropin(installed, "Environment=HOME=/srv/home")
    (line,) = lines(box, installed, FindingStatus.WARN)
    assert line == "HOME of jobs, /srv/home, cannot be written in backfilld@nba.service"


def test_a_lake_that_the_services_own_user_cannot_write_names_that_user(
    installed: Path, tmp_path: Path
) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    dropin(installed, f"User={user}\nBindPaths=\nReadWritePaths={tmp_path}")
    box = pipeline(phase("raw", processor("box", cwd="/srv")), at=tmp_path / "nba.toml")
    lake = tmp_path / "lake"
    lake.mkdir()
    assert lines(box, installed) == []
    lake.chmod(0o500)
    with without_root_file_access():
        (line,) = lines(box, installed)
    assert line == f"the lake {lake} cannot be written by {user}, the user of backfilld@nba.service"
    # Another user than that of the service does not know what the service may write
    dropin(installed, "User=nobody", "backfilld@nba.service.d/z.conf")
    with without_root_file_access():
        assert lines(box, installed) == []


def test_under_systemd_the_same_checks_run_with_the_units_own_properties(installed: Path) -> None:
    words = unit(installed).in_its_sandbox(["preflight", "--quick"])
    assert words[0] == "systemd-run"
    assert {"--property=ProtectHome=yes", "--property=User=backfilld-nba"} <= set(words)
    assert "--property=LoadCredential=tokens:backfilld.nba.tokens" in words
    assert "--property=StateDirectory=backfilld/nba backfilld/nba/home backfilld/nba/tmp" in words
    assert not [word for word in words if word.startswith(("--property=Type", "--property=Restart"))]
    assert words[-3:] == ["/opt/backfilld/bin/backfilld", "preflight", "--quick"]


def test_a_check_in_the_sandbox_finds_the_credentials_where_its_own_unit_has_them(
    installed: Path, tmp_path: Path
) -> None:
    settings = tmp_path / "nba.env"
    settings.write_text(
        "GOOGLE_APPLICATION_CREDENTIALS=/run/credentials/backfilld@nba.service/gcp.json\nA=b\n"
    )
    dropin(installed, f"EnvironmentFile={settings}")
    words = unit(installed).in_its_sandbox(["preflight"])
    name = next(word for word in words if word.startswith("--unit=")).removeprefix("--unit=")
    assert words[-4:] == [
        "/usr/bin/env",
        f"GOOGLE_APPLICATION_CREDENTIALS=/run/credentials/{name}/gcp.json",
        "/opt/backfilld/bin/backfilld",
        "preflight",
    ]


def test_a_service_that_is_not_installed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no service backfilld@nba: install deploy/systemd"):
        unit(tmp_path)
