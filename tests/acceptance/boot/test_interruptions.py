"""What ends the daemon or its machine, and what becomes of its jobs and their attempts."""

import pytest

from tests.acceptance.boot.service import GATED, Service
from tests.machine import BOOT_ID

pytestmark = pytest.mark.boot

ONE_ATTEMPT = {**GATED, "max_attempts = 3": "max_attempts = 1"}
"""A date fails with the first attempt that counts and leaves no rows."""


@pytest.fixture
def running(service: Service) -> Service:
    """A service whose first jobs wait at their gate; each has one attempt."""
    service.install(changes=ONE_ATTEMPT)
    service.dropin("watchdog", "[Service]\nWatchdogSec=5s\n")
    # As on a machine of its own: the kernel's id is that of the host, which is not restarted.
    service.dropin("boot-id", f"[Service]\nBindReadOnlyPaths={BOOT_ID}:/proc/sys/kernel/random/boot_id\n")
    service.start()
    service.enqueue()
    assert len(service.wait_for_jobs()) == 5
    return service


def all_succeed(service: Service) -> None:
    """Let the jobs go on: each of them is the only attempt of its processor."""
    service.open_gate()
    service.finish(1)
    assert service.outcome() == "bootstrap"
    assert {tuple(ends) for ends in service.results().values()} == {("exited 0",)}


def test_a_restart_leaves_the_jobs_alone_and_adopts_them(running: Service) -> None:
    jobs = running.jobs()
    running.machine.run("systemctl", "stop", running.unit)
    assert running.readyz() == (0, "")
    assert running.jobs() == jobs
    running.machine.run("systemctl", "start", running.unit)
    assert running.readyz() == (200, "ok\n")
    assert running.jobs() == jobs
    all_succeed(running)


def test_a_killed_daemon_comes_back_by_itself_and_adopts_its_jobs(running: Service) -> None:
    jobs = running.jobs()
    running.machine.run("systemctl", "kill", "--kill-who=main", "--signal=KILL", running.unit)
    running.machine.wait_for(lambda: running.show("NRestarts") == "1", "restarted")
    running.wait_until_ready()
    assert running.jobs() == jobs
    all_succeed(running)


def test_the_watchdog_ends_a_daemon_that_stands_still_and_its_stacks_are_in_the_journal(
    running: Service,
) -> None:
    jobs = running.jobs()
    running.machine.run("systemctl", "kill", "--kill-who=main", "--signal=STOP", running.unit)
    running.machine.wait_for(lambda: running.show("NRestarts") == "1", "restarted")
    messages = running.messages()
    assert "Watchdog timeout (limit 5s)!" in messages
    assert "Fatal Python error: Aborted" in messages
    running.wait_until_ready()
    assert running.jobs() == jobs
    all_succeed(running)


def test_a_reboot_in_order_brings_the_service_back_and_uses_up_no_attempt(running: Service) -> None:
    running.machine.reboot()
    running.wait_until_ready()
    running.open_gate()
    running.finish(1)
    assert running.outcome() == "bootstrap"
    interrupted = [attempt for attempt in running.attempts() if attempt["status"] == "lost"]
    assert len(interrupted) == 5
    assert {attempt["detail"].partition(",")[0] for attempt in interrupted} == {
        "preempted: the machine was restarted"
    }


def test_a_power_cut_brings_the_service_back_and_counts_the_attempts(running: Service) -> None:
    running.machine.cut_power()
    running.machine.boot()
    running.wait_until_ready()
    running.finish(1)
    assert running.outcome() == "exhausted"
    assert {attempt["detail"] for attempt in running.attempts()} == {"lost: the machine was restarted"}
