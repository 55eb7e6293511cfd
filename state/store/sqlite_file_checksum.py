"""The checksum of an SQLite file that was closed in order, in a file beside it that `sha256sum -c` reads.

While both match, nothing has written to the file or damaged it since.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

SUFFIX = ".sha256"


def record(path: Path) -> None:
    """Write the checksum of a closed file; not where a log shows that it is still open.

    Where the checksum cannot be written, the next start checks the content of the file.
    """
    if not _log(path).exists():
        with contextlib.suppress(OSError):
            _beside(path).unlink(missing_ok=True)  # a FIFO in its place would wait for a reader
            with _beside(path).open("x", encoding="utf-8") as file:
                file.write(_line(path))


def matches(path: Path) -> bool:
    """Whether a file has no log and the checksum that was recorded, in a regular file."""
    try:
        if _log(path).exists() or not _beside(path).is_file():
            return False
        return _beside(path).read_bytes() == _line(path).encode()
    except OSError:
        return False


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}{SUFFIX}")


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _line(path: Path) -> str:
    with path.open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}\n"
