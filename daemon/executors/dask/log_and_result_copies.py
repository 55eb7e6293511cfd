"""The daemon's own copies of what a Dask job leaves behind: its output and its result."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from backfilld.daemon.executors import attempt_files
from backfilld.daemon.executors.adapter import JobResult
from backfilld.daemon.executors.dask.worker import Outcome


class DaskFiles:
    """Log and result files of attempts under `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def log(self, attempt: int) -> attempt_files.FileLog:
        """The copy of the attempt's output."""
        return attempt_files.FileLog(self._file(attempt, "log"))

    def remove(self, attempt: int) -> None:
        """Remove the files of an earlier attempt with the same number. Raises OSError."""
        for kind in ("log", "exit"):
            self._file(attempt, kind).unlink(missing_ok=True)

    def copied(self, attempt: int) -> int:
        """How many bytes of the output were copied; 0 if the copy cannot be read."""
        try:
            return self.log(attempt).size() or 0
        except OSError:
            return 0

    def append(self, attempt: int, chunk: bytes) -> None:
        """Append to the log. Raises OSError, such as for a full disk."""
        with self._open_log(attempt) as log:
            log.write(chunk)

    def append_tail(self, attempt: int, outcome: Outcome) -> None:
        """Append what the log lacks of the end of the output, or say how many bytes were not copied."""
        with suppress(OSError), self._open_log(attempt) as log:  # the result matters more than the output
            copied = log.tell()
            start = outcome.size - len(outcome.tail)
            if copied < start:
                log.write(f"\n[backfilld: {start - copied} bytes of output were not copied]\n".encode())
            log.write(outcome.tail[max(copied - start, 0) :])

    def save_result(self, attempt: int, key: str, result: JobResult) -> None:
        """Keep a result for a daemon that finds its attempt open later. Raises OSError."""
        text = json.dumps({"key": key, "result": asdict(result)})
        attempt_files.replace(self._file(attempt, "exit"), text)

    def load_result(self, attempt: int, key: str) -> JobResult | None:
        """The saved result of the job with that key; None when there is none that can be read."""
        try:
            saved = json.loads(self._file(attempt, "exit").read_text("utf-8"))
            return JobResult(**saved["result"]) if saved["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _file(self, attempt: int, kind: str) -> Path:
        return attempt_files.attempt_file(self._root, attempt, kind)

    def _open_log(self, attempt: int) -> BinaryIO:
        """The copy of the log, opened at its end, readable by its owner only."""
        path = self._file(attempt, "log")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return open(path, "ab", opener=attempt_files.private_opener)
