"""Sets the stage for `backfilld demo`: a fresh lake, a copy of the pipeline file, a daemon as a process."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from demo import lake

START, END = date(2021, 10, 15), date(2021, 11, 7)
EXPECTED: Mapping[str, int] = {"not_expected": 4, "bootstrap": 7, "complete": 13}
"""How the dates from START to END end: preseason, the first seven days of the season, and the rest."""


def prepare(folder: Path, *, pace: str = "0") -> Path:
    """A fresh stage in `folder`; the pipeline file's path. `pace` is how many seconds each job works."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lake.create(folder / "lake")
    text = (Path(__file__).parent / "pipeline.toml").read_text(encoding="utf-8")
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(text.replace('DEMO_SECONDS = "0"', f'DEMO_SECONDS = "{pace}"'), encoding="utf-8")
    return pipeline


@contextlib.contextmanager
def daemon(pipeline: Path, listen: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon for `pipeline`, with its log beside it; ended with the context."""
    folder = pipeline.parent
    words = ["-m", "api.cli", "serve", "--pipeline", str(pipeline), "--state-dir", str(folder / "state")]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BACKFILLD_")}
    with (folder / "daemon.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and words
            [sys.executable, *words, "--listen", listen], stdout=log, stderr=log, env=environment
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
