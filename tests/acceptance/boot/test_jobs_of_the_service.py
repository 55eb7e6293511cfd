"""What jobs may do in the service's sandbox, and what they and other instances may not."""

import pytest

from backfilld.api.cli.client import ApiError, Client
from tests.acceptance.boot.service import COMMAND, DAY, GATED, Service

pytestmark = pytest.mark.boot


def preflight(service: Service) -> str:
    return service.machine.run(COMMAND, "preflight", DAY, "--service", service.name, succeeds=False)


def test_without_its_dropin_preflight_and_attempts_name_what_the_sandbox_refuses(service: Service) -> None:
    service.install(job_dropin=False)
    report = preflight(service)
    assert f"/home/deploy/{service.name}-platform is hidden from {service.unit} by ProtectHome=yes" in report
    assert f"the lake {service.lake}/lake cannot be written in {service.unit}: ProtectSystem=strict" in report
    assert "not ready" in report
    service.start()
    service.finish(service.enqueue())
    remedy = f"if the sandbox of {service.unit} refuses that, open it with deploy/systemd/jobs.conf"
    assert {attempt["verdict_reason"].count(remedy) for attempt in service.attempts()} == {1}


def test_a_lake_that_is_only_read_is_named_by_preflight_and_by_the_attempts(service: Service) -> None:
    service.install()
    service.dropin("lake", "[Service]\nReadWritePaths=\n")
    assert f"the lake {service.lake}/lake cannot be written in {service.unit}" in preflight(service)
    service.dropin("lake", "[Service]\n")
    service.machine.run("chown", "-R", "root:", service.lake)
    assert f"the lake {service.lake}/lake cannot be written by {service.user}" in preflight(service)
    service.machine.run("chown", "-R", f"{service.user}:", service.lake)
    assert "\nready" in preflight(service)


def test_jobs_have_a_home_and_a_tmp_of_their_own_that_outlive_a_restart(service: Service) -> None:
    keeps = 'command = ["/bin/sh", "-c", "echo kept | tee $HOME/here > /tmp/here; cat /tmp/here;'
    script = {'command = ["{python}"': keeps + ' exec \\"$0\\" \\"$@\\"", "{python}"'}
    service.install(changes=script)
    service.start()
    service.finish(service.enqueue())
    service.machine.run("systemctl", "restart", service.unit)
    for path in ("home/here", "tmp/here"):
        assert service.machine.run("cat", f"{service.state}/{path}") == "kept\n"
    assert not (service.machine.root / "tmp/here").exists()


def test_credentials_reach_the_daemon_and_the_jobs_that_the_pipeline_file_gives_them(
    service: Service,
) -> None:
    reads = 'command = ["/bin/sh", "-c", "cat $GOOGLE_APPLICATION_CREDENTIALS && env &&'
    service.install(
        changes={
            "[jobs]\n": '[jobs]\npass_env = ["GOOGLE_APPLICATION_CREDENTIALS"]\n',
            'command = ["{python}"': reads + ' exec \\"$0\\" \\"$@\\"", "{python}"',
        }
    )
    service.add_token()
    store = f"/etc/credstore/backfilld.{service.name}"
    service.machine.write(f"{store}.gcp.json", "the key\n")
    service.machine.script(f"chmod 600 {store}.*")
    settings = f"GOOGLE_APPLICATION_CREDENTIALS=/run/credentials/{service.unit}/gcp.json"
    service.machine.script(f"echo {settings} >> /etc/backfilld/{service.name}.env")
    assert "\nready" in preflight(service)
    service.start()
    with pytest.raises(ApiError, match="this needs a token"):
        Client(service.client.url).get("/v1/backfills")
    service.finish(service.enqueue())
    output, _ = service.client.text("/v1/attempts/1/log")
    assert "the key\n" in output
    assert "CREDENTIALS_DIRECTORY" not in output


def test_an_instance_can_neither_read_nor_signal_what_belongs_to_another(
    service: Service, neighbour: Service
) -> None:
    for instance in (service, neighbour):
        instance.install(changes=GATED)
        instance.add_token()
        instance.start()
        instance.enqueue()
    (job, *_) = neighbour.wait_for_jobs().values()
    credential = f"/run/credentials/{neighbour.unit}/tokens"
    for words in (
        ("cat", f"{neighbour.state}/state.db"),
        ("ls", f"{neighbour.state}/attempts"),
        ("cat", f"{neighbour.state}/home/gate"),
        ("cat", credential),
        ("cat", f"/proc/{job}/environ"),
        ("bash", "-c", f"kill -0 {job}"),
    ):
        refused = service.machine.run("runuser", "-u", service.user, "--", *words, succeeds=False)
        assert "not permitted" in refused.lower() or "permission denied" in refused.lower(), words
        # Its own user may
    own = service.machine.run("runuser", "-u", neighbour.user, "--", "cat", credential)
    assert own.startswith("ana operate ")
