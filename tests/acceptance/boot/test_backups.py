"""Backup and restore of the service, by the commands of docs/operations.md."""

import pytest

from tests.acceptance.boot.service import COMMAND, Service, documented

pytestmark = pytest.mark.boot


def test_a_backup_of_root_belongs_to_the_service_and_is_restored_as_the_manual_says(service: Service) -> None:
    service.install()
    service.start()
    service.finish(service.enqueue())
    ends = service.results()
    service.machine.run(COMMAND, "backup", "--state-dir", service.state)
    owners = service.machine.script(f"stat --format='%U %a' {service.state}/backups/*.db").splitlines()
    assert set(owners) == {f"{service.user} 600"}
    # When the database is damaged under the daemon, and restored
    service.machine.script(f"dd if=/dev/zero of={service.state}/state.db bs=4096 count=3 conv=notrunc")
    service.machine.script(documented("<!-- restore -->").replace("nba", service.name))
    # Then the daemon starts, knows what was done, and does nothing twice
    assert service.readyz() == (200, "ok\n")
    service.finish(service.enqueue())
    assert service.results() == ends


def test_the_commands_for_one_more_backup_work_as_the_services_user(service: Service) -> None:
    service.install()
    service.start()
    service.machine.script(f"install -d -o {service.user} /mnt/elsewhere")
    service.machine.script(documented("so a damaged\ndatabase").replace("nba", service.name))
    for folder in (f"{service.state}/backups", "/mnt/elsewhere"):
        assert service.machine.script(f"ls {folder}").startswith("state-")
