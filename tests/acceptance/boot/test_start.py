"""What systemd shows of the service: its start, its status, its reloads and its lines in the journal."""

import re

import pytest

from tests.acceptance.boot.service import Service

pytestmark = pytest.mark.boot

MISTAKE = {'order = "parallel"': 'ordre = "parallel"'}
REFUSED = "unknown key 'ordre'; did you mean 'order'?"


def test_a_start_returns_when_the_api_answers_and_jobs_of_the_manuals_setup_succeed(service: Service) -> None:
    service.install()
    service.start()
    assert service.readyz() == (200, "ok\n")
    assert service.show("StatusText") == f"serves nba_demo at http://127.0.0.1:{service.port}"
    service.finish(service.enqueue())
    assert service.outcome() == "bootstrap"
    assert {tuple(ends) for ends in service.results().values()} == {("exited 0",)}


def test_a_refused_pipeline_file_shows_in_the_status_and_a_corrected_one_needs_no_command(
    service: Service,
) -> None:
    service.install(changes=MISTAKE)
    assert "failed" in service.machine.run("systemctl", "start", service.unit, succeeds=False)
    status = service.show("StatusText")
    assert status.startswith(f"refused to start: /etc/backfilld/{service.name}.toml: ")
    assert status.endswith(REFUSED)
    errors = [line for line in service.journal("--priority=err") if line["_COMM"] == "backfilld"]
    assert [line["MESSAGE"] for line in errors if REFUSED in line["MESSAGE"]]
    service.write_pipeline()
    service.wait_until_ready()
    assert service.show("ActiveState") == "active"


def test_a_reload_takes_a_changed_file_and_fails_with_a_refused_one_that_the_status_shows(
    service: Service,
) -> None:
    service.install()
    service.start()
    main_pid = service.show("MainPID")
    service.write_pipeline(MISTAKE)
    assert "failed" in service.machine.run("systemctl", "reload", service.unit, succeeds=False)
    service.machine.wait_for(lambda: REFUSED in service.show("StatusText"), "refused")
    assert service.readyz() == (200, "ok\n")
    assert REFUSED in service.messages("--priority=warning")
    service.write_pipeline({"slots = 8": "slots = 7"})
    service.machine.run("systemctl", "reload", service.unit)
    service.machine.wait_for(lambda: "starting anew with the changed" in service.messages(), "reloaded")
    service.wait_until_ready()
    assert service.show("MainPID") == main_pid


def test_the_journal_has_priorities_and_no_second_time(service: Service) -> None:
    service.install()
    service.start()
    lines = [line for line in service.journal() if line["_COMM"] == "backfilld"]
    assert {line["PRIORITY"] for line in lines} == {"6"}
    assert "backfilld serves nba_demo" in lines[-1]["MESSAGE"]
    assert not [line["MESSAGE"] for line in lines if re.search(r"\d{4}-\d\d-\d\dT", line["MESSAGE"])]
