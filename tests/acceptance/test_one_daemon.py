"""One daemon per state directory: the second is refused and told who is there; a dead one hinders nobody."""

import os
import signal
import socket

from tests.acceptance.daemon import daemon


def test_a_second_daemon_is_refused_and_told_who_is_there(tmp_path):
    with daemon(tmp_path / "d") as one:
        told = one.refusal()
        assert f"pid {one.process.pid} on {socket.gethostname()}, since 20" in told
        assert f"at http://127.0.0.1:{one.port}" in told
        # And the first goes on as if nothing had been
        number = one.enqueue("2021-10-19", "2021-10-19")
        one.finish(number)


def test_the_lock_of_a_killed_daemon_hinders_nobody_and_its_jobs_do_not_hold_it(tmp_path):
    with daemon(tmp_path / "d", pace="2") as one:
        number = one.enqueue("2021-10-19", "2021-10-19")
        one.wait_for(lambda: one.client.get("/v1/attempts", status="running")["items"], "running")
        one.signal(signal.SIGKILL)
        assert (one.folder / "state" / "daemon.lock").read_text(), "what a dead daemon said is still there"
        one.start()
        one.finish(number)
        assert os.stat(one.folder / "state" / "daemon.lock").st_mode & 0o077 == 0
