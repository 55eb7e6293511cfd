"""The image and the compose file: no root, an init, a health check, and files that exist."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from backfilld.daemon.settings import VARIABLES
from tests.deploy import DEPLOY, run

FOLDER = DEPLOY / "container"
IMAGE = re.sub(r"\\\n\s*", " ", (FOLDER / "Containerfile").read_text(encoding="utf-8"))
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
WRITTEN_BY_THE_OPERATOR = {"pipeline.toml", "tokens", "prometheus.token"}


def instructions(name):
    return [line.partition(" ")[2] for line in IMAGE.splitlines() if line.startswith(f"{name} ")]


def test_the_image_runs_an_init_as_another_user_than_root_and_is_asked_for_its_health():
    assert json.loads(instructions("ENTRYPOINT")[-1]) == ["tini", "--", "backfilld"]
    assert json.loads(instructions("CMD")[-1]) == ["serve"]
    assert int(instructions("USER")[-1]) > 0
    (health,) = instructions("HEALTHCHECK")
    assert "/livez" in health
    assert all("slim" in base for base in instructions("FROM"))


def hadolint(text):
    program = str(Path(sys.executable).with_name("hadolint"))
    words = [program, "--no-color", "-"]
    return subprocess.run(words, input=text, stdout=subprocess.PIPE, text=True, check=False).stdout


def test_a_linter_of_images_finds_nothing_to_complain_about():
    text = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    assert hadolint(text) == ""
    # And would find a mistake
    assert "DL3007" in hadolint(text.replace("python:3.12-slim", "python:latest"))


def test_image_and_compose_file_name_settings_that_exist():
    named = set(re.findall(r"\b(BACKFILLD_\w+)[=:]", IMAGE + (FOLDER / "compose.yaml").read_text("utf-8")))
    assert named
    assert named <= set(VARIABLES)


def test_every_mounted_file_is_in_the_checkout_or_written_by_the_operator():
    sources = [
        mount.partition(":")[0]
        for service in COMPOSE["services"].values()
        for mount in service["volumes"]
        if mount.startswith(".")
    ]
    sources += [secret["file"] for secret in COMPOSE["secrets"].values()]
    missing = {source for source in sources if not (FOLDER / source).exists()}
    assert {source.removeprefix("./") for source in missing} <= WRITTEN_BY_THE_OPERATOR
    assert (FOLDER / COMPOSE["services"]["backfilld"]["build"]["context"] / "pyproject.toml").exists()


def test_every_volume_and_secret_that_a_service_uses_is_declared():
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        names = {mount.partition(":")[0] for mount in service["volumes"] if mount[0] not in "./"}
        assert names <= set(COMPOSE["volumes"])


def test_no_port_is_open_to_other_machines():
    ports = [port for service in COMPOSE["services"].values() for port in service["ports"]]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.packages
def test_the_configuration_of_prometheus_is_right_by_promtool(tmp_path):
    token = tmp_path / "token"
    token.write_text("bfd_x")
    for file in (FOLDER / "prometheus.yml", DEPLOY / "prometheus" / "backfilld.rules.yml"):
        text = file.read_text(encoding="utf-8").replace("/run/secrets/prometheus_token", str(token))
        (tmp_path / file.name).write_text(text)
    assert "SUCCESS" in run("promtool", "check", "config", tmp_path / "prometheus.yml")
