"""Reads parts of a job's log in chunks: a log of any size is never loaded into memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 64 * 1024
"""Bytes read at a time."""
LONGEST_LINE = 200
"""Bytes shown of a last line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The bytes of a log from `start` up to but not including `end`, and the size of the log at that time."""

    path: Path
    size: int
    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.end - self.start

    def chunks(self) -> Iterator[bytes]:
        """The bytes in chunks, without anything that was written since."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.length
            while left > 0 and (piece := file.read(min(CHUNK_BYTES, left))):
                left -= len(piece)
                yield piece


def read(
    path: Path, *, tail: int | None = None, offset: int | None = None, limit: int | None = None
) -> Part | None:
    """The last `tail` lines, everything from byte `offset` on, or the whole log; None without a log.

    At most the first `limit` bytes of that.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = min(offset or 0, size) if tail is None else _start_of_tail(file, size, tail)
    except OSError:
        return None
    return Part(path=path, size=size, start=start, end=size if limit is None else min(start + limit, size))


def last_line(path: Path) -> str:
    """The last line of the last chunk, which may be a progress bar; empty without a log."""
    try:
        with path.open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - CHUNK_BYTES, 0))
            *_, last = b"", *file.read(CHUNK_BYTES).splitlines()
    except OSError:
        return ""
    return last[:LONGEST_LINE].decode(errors="replace").strip()


def _start_of_tail(file: BinaryIO, size: int, lines: int) -> int:
    """The offset at which the last `lines` lines start; a final line break starts no line."""
    if lines == 0:
        return size
    wanted = lines + 1 if _ends_with_break(file, size) else lines
    end = size
    while end > 0:
        start = max(end - CHUNK_BYTES, 0)
        file.seek(start)
        piece = file.read(end - start)
        breaks = piece.count(b"\n")
        if breaks >= wanted:
            return start + _nth_break_from_end(piece, wanted) + 1
        wanted -= breaks
        end = start
    return 0


def _ends_with_break(file: BinaryIO, size: int) -> bool:
    if size == 0:
        return False
    file.seek(size - 1)
    return file.read(1) == b"\n"


def _nth_break_from_end(piece: bytes, number: int) -> int:
    at = len(piece)
    for _ in range(number):
        at = piece.rindex(b"\n", 0, at)
    return at
