"""Parts of a job's log, in pieces: a log of any size is never held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backfilld.daemon.executors.adapter import CHUNK_BYTES, JobLog, follow

LONGEST_LINE = 200
"""Bytes of a last line that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A stretch of a log from byte `start` to before `end`, and the log's size when it was looked at."""

    log: JobLog
    size: int
    start: int
    end: int

    @property
    def length(self) -> int:
        """Bytes of the stretch."""
        return self.end - self.start

    def chunks(self) -> Iterator[bytes]:
        """The stretch, piece by piece; what is written meanwhile is not part of it."""
        return follow(self.log, self.start, self.end)


def read(
    log: JobLog, *, tail: int | None = None, offset: int | None = None, limit: int | None = None
) -> Part | None:
    """The last `tail` lines, what follows byte `offset`, or all of it; None where there is no log.

    Of that at most the first `limit` bytes.
    """
    size = log.size()
    if size is None:
        return None
    try:
        start = min(offset or 0, size) if tail is None else _start_of_tail(log, size, tail)
    except OSError:
        return None
    return Part(log=log, size=size, start=start, end=size if limit is None else min(start + limit, size))


def last_line(log: JobLog) -> str:
    """The last line, or what a progress bar shows, by the last chunk alone; empty where there is no log."""
    try:
        *_, last = b"", *log.read(max((log.size() or 0) - CHUNK_BYTES, 0), CHUNK_BYTES).splitlines()
    except OSError:
        return ""
    return last[:LONGEST_LINE].decode(errors="replace").strip()


def _start_of_tail(log: JobLog, size: int, lines: int) -> int:
    """The byte where the last `lines` lines begin; a line break at the very end begins no line."""
    if lines == 0:
        return size
    wanted = lines + 1 if size and log.read(size - 1, 1) == b"\n" else lines
    end = size
    while end > 0:
        start = max(end - CHUNK_BYTES, 0)
        chunk = log.read(start, end - start)
        breaks = chunk.count(b"\n")
        if breaks >= wanted:
            return start + _nth_break_from_end(chunk, wanted) + 1
        wanted -= breaks
        end = start
    return 0


def _nth_break_from_end(piece: bytes, number: int) -> int:
    at = len(piece)
    for _ in range(number):
        at = piece.rindex(b"\n", 0, at)
    return at
