"""One daemon per state directory: a second one is refused by name, and a killed one blocks no successor."""

import os
import signal
import socket

from tests.acceptance.daemon import ONE_OF_EACH, daemon


def test_a_second_daemon_is_refused_by_name_and_a_killed_one_does_not_keep_the_lock(tmp_path):
    with daemon(tmp_path / "d", pace="2", processors=ONE_OF_EACH) as first:
        lock = first.folder / "state" / "daemon.lock"
        # Given a daemon whose jobs run
        number = first.enqueue("2021-10-19", "2021-10-19")
        first.wait_for(lambda: first.client.get("/v1/attempts", status="running")["items"], "running")
        # Then a second one is refused with the name of the first, which continues
        refusal = first.refusal()
        assert f"pid {first.process.pid} on {socket.gethostname()}, since 20" in refusal
        assert f"at http://127.0.0.1:{first.port}" in refusal
        assert first.status(number) in ("active", "finished")
        # Also while the first is suspended, which the refusal says, and which changes nothing
        first.process.send_signal(signal.SIGSTOP)
        try:
            refusal = first.refusal()
            assert f"it is suspended, and ends only after `kill -CONT {first.process.pid}`" in refusal
        finally:
            first.process.send_signal(signal.SIGCONT)
        assert first.status(number) in ("active", "finished")
        # And when it is killed, neither its file nor its jobs keep a successor out
        first.signal(signal.SIGKILL)
        assert lock.read_text(), "the killed daemon left its lock file"
        first.start()
        first.finish(number)
        assert os.stat(lock).st_mode & 0o077 == 0
