"""What preflight runs itself is over when preflight is, however it ends."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from backfilld.daemon.preflight.subprocesses import run
from tests.integration.real_jobs import lives, until

PATIENCE = 60.0


def test_ctrl_c_ends_what_is_being_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a program in a session of its own, which no Ctrl-C reaches
    pid, plain = tmp_path / "pid", subprocess.Popen.wait

    def interrupted(self: Any, *args: Any, timeout: float | None = None) -> Any:
        if timeout != PATIENCE:
            return plain(self, *args, timeout=timeout)
        until(lambda: pid.exists() and pid.read_text().endswith("\n"), "the program to begin")
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)

    # When
    path = {"PATH": os.environ["PATH"]}
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "echo $$ >pid; sleep 300"], cwd=tmp_path, env=path, seconds=PATIENCE)

    # Then
    until(lambda: not lives(int(pid.read_text())), "its end")
