"""The files that are kept of attempts, for their owner alone."""

from __future__ import annotations

import os
from pathlib import Path


def attempt_file(root: Path, attempt: int, kind: str) -> Path:
    """A file about an attempt, such as its `log`, a thousand attempts to a folder."""
    return root / f"{attempt // 1000:03d}" / f"{attempt}.{kind}"


def private_opener(path: str, flags: int) -> int:
    """The opener for `open` of a file that nobody but its owner shall read."""
    return os.open(path, flags, 0o600)


def replace(path: Path, text: str) -> None:
    """Write a file anew, so that whoever reads it finds all of the old text or of the new. Raises OSError."""
    new = path.with_suffix(".new")
    new.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(new, "w", encoding="utf-8", errors="replace", opener=private_opener) as file:
        file.write(text)
    new.replace(path)
