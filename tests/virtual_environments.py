"""Environments of their own, beside the checkout's, for programs that want other versions than it has."""

import fcntl
import os
import subprocess
import venv
from collections.abc import Callable, Sequence
from pathlib import Path


def installed(folder: Path, requirements: Sequence[str], then: Callable[[str], None] = lambda _: None) -> str:
    """The interpreter of an environment with these packages, installed once for all workers.

    `then` is called with it after an installation. Options of pip may be among the requirements.
    """
    folder.mkdir(exist_ok=True)
    python = str(folder / "bin" / "python")
    done = folder / "installed.txt"
    wanted = "\n".join(requirements)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != wanted:
            venv.create(folder, with_pip=True, symlinks=True)
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            pip += ["--retries", "10", "--timeout", "60"]
            pip += ["--no-compile"]  # most of what comes along is never imported
            run([*pip, *requirements])  # with the user's own settings of pip
            then(python)
            done.write_text(wanted)
    finally:
        os.close(lock)
    return python


def run(command: list[str], *, env: dict[str, str] | None = None) -> None:
    """Run a command of an installation."""
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{' '.join(command)} failed:\n{ended.stderr[-3000:]}"
