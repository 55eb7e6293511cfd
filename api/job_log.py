"""Reads parts of a job's log in chunks: a log of any size is never loaded into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backfilld.daemon.executors.adapter import CHUNK_BYTES, JobLog, follow
from backfilld.state import formatting

TAIL_BYTES = 8 << 20
"""The most bytes that the last lines of a log may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The bytes of a log from `start` up to but not including `end`, and the size of the log at that time."""

    log: JobLog
    size: int
    start: int
    end: int

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.end - self.start

    def chunks(self) -> Iterator[bytes]:
        """The bytes in chunks, without anything that was written since."""
        return follow(self.log, self.start, self.end)


def read(
    log: JobLog, *, tail: int | None = None, offset: int | None = None, limit: int | None = None
) -> Part | None:
    """The last `tail` lines, everything from byte `offset` on, or the whole log; None without a log.

    At most the first `limit` bytes of that. The last lines have at most TAIL_BYTES.
    Raises OSError if the log cannot be read.
    """
    size = log.size()
    if size is None:
        return None
    if tail is None:
        start = min(offset or 0, size)
    else:
        start = _start_of_tail(log, max(size - TAIL_BYTES, 0), size, tail)
    return Part(log=log, size=size, start=start, end=size if limit is None else min(start + limit, size))


def last_line(log: JobLog) -> str:
    """The last line of the last chunk, which may be a progress bar; empty without a log."""
    try:
        *_, last = b"", *log.read(max((log.size() or 0) - CHUNK_BYTES, 0), CHUNK_BYTES).splitlines()
    except OSError:
        return ""
    return formatting.last_line(last.decode(errors="replace"))


def _start_of_tail(log: JobLog, first: int, size: int, lines: int) -> int:
    """The offset at which the last `lines` lines start, `first` or later; a final break starts no line."""
    if lines == 0:
        return size
    wanted = lines + 1 if size and log.read(size - 1, 1) == b"\n" else lines
    end = size
    while end > first:
        start = max(end - CHUNK_BYTES, first)
        chunk = log.read(start, end - start)
        breaks = chunk.count(b"\n")
        if breaks >= wanted:
            return start + _nth_break_from_end(chunk, wanted) + 1
        wanted -= breaks
        end = start
    return first


def _nth_break_from_end(chunk: bytes, number: int) -> int:
    at = len(chunk)
    for _ in range(number):
        at = chunk.rindex(b"\n", 0, at)
    return at
