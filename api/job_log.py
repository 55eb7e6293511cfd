"""Parts of a job's log, in pieces: a log of any size is never held in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PIECE = 64 * 1024
"""Bytes read at a time."""
LONGEST_LINE = 200
"""Bytes of a last line that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a log from byte `start` to before `end`, and the log's size when it was looked at."""

    path: Path
    size: int
    start: int
    end: int

    @property
    def length(self) -> int:
        """Bytes of the stretch."""
        return self.end - self.start

    def chunks(self) -> Iterator[bytes]:
        """The stretch, piece by piece; what is written meanwhile is not part of it."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.length
            while left > 0 and (piece := file.read(min(PIECE, left))):
                left -= len(piece)
                yield piece


def read(
    path: Path, *, tail: int | None = None, offset: int | None = None, limit: int | None = None
) -> Part | None:
    """The last `tail` lines, what follows byte `offset`, or all of it; None where there is no log.

    Of that at most the first `limit` bytes.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = min(offset or 0, size) if tail is None else _start_of_tail(file, size, tail)
    except OSError:
        return None
    return Part(path=path, size=size, start=start, end=size if limit is None else min(start + limit, size))


def last_line(path: Path) -> str:
    """The last line, or what a progress bar shows, by the last piece alone; empty where there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - PIECE, 0))
            *_, last = b"", *file.read(PIECE).splitlines()
    except OSError:
        return ""
    return last[:LONGEST_LINE].decode(errors="replace").strip()


def _start_of_tail(file: BinaryIO, size: int, lines: int) -> int:
    """The byte where the last `lines` lines begin; a line break at the very end begins no line."""
    if lines == 0:
        return size
    wanted = lines + 1 if _ends_with_break(file, size) else lines
    end = size
    while end > 0:
        start = max(end - PIECE, 0)
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
