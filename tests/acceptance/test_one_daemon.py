"""One daemon per state directory: a second one is refused by name, and a killed one blocks no successor."""

import os
import signal
import socket

from tests.acceptance.daemon import daemon


def test_a_second_daemon_is_refused_with_the_name_of_the_first(tmp_path):
    with daemon(tmp_path / "d") as first:
        refusal = first.refusal()
        assert f"pid {first.process.pid} on {socket.gethostname()}, since 20" in refusal
        assert f"at http://127.0.0.1:{first.port}" in refusal
        # And the first goes on as if nothing had been
        number = first.enqueue("2021-10-19", "2021-10-19")
        first.finish(number)


def test_a_killed_daemon_and_its_jobs_do_not_keep_the_lock(tmp_path):
    with daemon(tmp_path / "d", pace="2") as first:
        number = first.enqueue("2021-10-19", "2021-10-19")
        first.wait_for(lambda: first.client.get("/v1/attempts", status="running")["items"], "running")
        first.signal(signal.SIGKILL)
        assert (first.folder / "state" / "daemon.lock").read_text(), "the killed daemon left its lock file"
        first.start()
        first.finish(number)
        assert os.stat(first.folder / "state" / "daemon.lock").st_mode & 0o077 == 0
