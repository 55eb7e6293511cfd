"""The daemon as the first process of a container: it reaps what jobs leave, and says what ends with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backfilld.daemon import container_init
from tests.timeouts import PATIENCE

FIRST_PROCESS = """
import os, sys, threading
from pathlib import Path
from backfilld.daemon.container_init import jobs_end_with_daemon
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.local.executor import LocalExecutor
from backfilld.daemon.executors.process_identity import stat

ended = threading.Event()
local = LocalExecutor(Path(sys.argv[1]), on_end=ended.set)
leave = "(setsid env -i sleep 300 &) & (setsid sh -c 'exit 3' &) &"
orphans = f"for n in 1 2 3 4; do {leave} done; wait; sleep 0.2"
local.launch([Job(attempt=1, argv=("sh", "-c", orphans), cwd=Path(sys.argv[1]))], lambda handles: None)
while not any(status.result for status in local.poll()):
    ended.wait(1)
    ended.clear()
local.poll()
facts = [stat(pid) for pid in os.listdir("/proc") if pid.isdigit()]
print(os.getpid(), [one.state for one in facts if one and one.parent == 1], jobs_end_with_daemon(""))
local.close()
"""


@pytest.mark.hosts
def test_the_first_process_of_a_container_leaves_no_zombie_of_a_job(tmp_path: Path) -> None:
    words = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", FIRST_PROCESS, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.stdout, done.stderr) == ("1 [] True\n", "")


@pytest.mark.parametrize(
    ("namespace", "parent", "service", "ends"),
    [
        ("pid:[4026532179]", 1, "", True),
        ("pid:[4026532179]", 1, "backfilld@nba.service", False),
        ("pid:[4026532179]", 77, "", False),
        ("pid:[4026531836]", 1, "", False),
        ("", 1, "", False),
    ],
)
def test_jobs_end_with_a_container_and_with_nothing_else(
    monkeypatch: pytest.MonkeyPatch, namespace: str, parent: int, service: str, ends: bool
) -> None:
    monkeypatch.setattr(container_init, "pid_namespace", lambda: namespace)
    monkeypatch.setattr(os, "getppid", lambda: parent)
    assert container_init.jobs_end_with_daemon(service) is ends
