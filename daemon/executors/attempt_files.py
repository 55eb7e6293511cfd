"""Files about attempts, readable by their owner only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def attempt_file(root: Path, attempt: int, kind: str) -> Path:
    """The path of a file about an attempt, such as its `log`. A folder holds a thousand attempts."""
    return root / f"{attempt // 1000:03d}" / f"{attempt}.{kind}"


def private_opener(path: str, flags: int) -> int:
    """An `opener` for `open` that creates files which only their owner may read."""
    return os.open(path, flags, 0o600)


def replace(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees all of the old text or all of the new. Raises OSError."""
    new = path.with_suffix(".new")
    new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(new, "w", encoding="utf-8", errors="replace", opener=private_opener) as file:
        file.write(text)
    new.replace(path)


@dataclass(frozen=True, slots=True)
class FileLog:
    """A job's log in a local file."""

    path: Path

    def size(self) -> int | None:
        """Bytes so far; None when the file does not exist or cannot be read."""
        try:
            return self.path.stat().st_size
        except OSError:
            return None

    def read(self, start: int, length: int) -> bytes:
        """At most `length` bytes from byte `start`. Raises OSError if the file cannot be read."""
        with self.path.open("rb") as file:
            file.seek(start)
            return file.read(length)
