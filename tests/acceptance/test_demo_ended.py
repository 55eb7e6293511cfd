"""The demo is ended from outside: its daemon ends with it."""

import signal
import subprocess
import sys

from backfilld.state.store.leader_election import FILE, FileLock, Holder
from tests.ports import free_port


def test_a_demo_that_is_terminated_leaves_no_daemon_behind(tmp_path):
    # Given a demo whose daemon serves
    command = [
        sys.executable,
        "-m",
        "backfilld",
        "demo",
        "--folder",
        str(tmp_path),
        "--listen",
        f"127.0.0.1:{free_port()}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as demo:
        assert demo.stdout is not None
        assert "a daemon serves" in demo.stdout.readline()
        # When it is ended
        demo.send_signal(signal.SIGTERM)
        demo.communicate()
    # Then no daemon serves the state directory
    assert FileLock(tmp_path / "state" / FILE, Holder.me(since=0.0, listen="")).acquire() == ""
