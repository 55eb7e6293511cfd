"""Standard output and error of the command line: what happens where they cannot be written.

Without a reader, as behind `head`, a verb goes on without output: its exit code does not depend on the moment
at which the reader ends. A verb that follows something ends instead.
"""

from __future__ import annotations

import io
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from backfilld.state.base_errors import BackfilldError

WITHOUT_READER = 141
"""The exit code of a verb that followed until its reader ended: that of a program which SIGPIPE ends."""


class OutputError(BackfilldError):
    """Standard output cannot be written, such as to a full disk."""


class ReaderEnded(BackfilldError):
    """Nothing reads standard output any more."""


class GuardedFile(io.FileIO):
    """The descriptor of standard output or error. It drops what no reader takes."""

    def __init__(self, descriptor: int, *, required: bool) -> None:
        """`required`: other errors of writing are raised, once; else what cannot be written is dropped."""
        super().__init__(descriptor, "wb", closefd=False)
        self._required = required
        self.reader_ended = False

    def write(self, data: Any) -> int:
        """Write some bytes; returns how many were taken.

        Raises:
            OutputError: the output is required, and cannot be written.
        """
        try:
            return super().write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.reader_ended = True
        except OSError as error:
            if self._required:
                self._required = False  # what is still buffered fails, too
                reason = error.strerror or str(error)
                raise OutputError(f"the output cannot be written: {reason}; write it elsewhere") from error
        return memoryview(data).nbytes

    def wait(self, seconds: float) -> bool:
        """Wait, or until nothing reads. Returns whether something may still read."""
        if self.reader_ended:
            return False
        poll = select.poll()
        poll.register(self, 0)  # errors and hang-ups are reported in any case
        return not poll.poll(seconds * 1000)


def guard_streams() -> None:
    """Have standard output and error of this process written by `GuardedFile`s. A test's own ones stay."""
    if sys.__stdout__ is not None and sys.stdout is sys.__stdout__:
        sys.stdout = _guarded(sys.__stdout__, required=True)
    if sys.__stderr__ is not None and sys.stderr is sys.__stderr__:
        sys.stderr = _guarded(sys.__stderr__, required=False)


def _guarded(stream: TextIO, *, required: bool) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(GuardedFile(stream.fileno(), required=required)),
        encoding=stream.encoding,
        # A sign that the encoding lacks, such as in ASCII, is written as its number.
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        newline="\n",
        line_buffering=bool(stream.line_buffering),
    )


@contextmanager
def written_output() -> Iterator[None]:
    """Write what is buffered at the end, however it ends.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()


def is_read() -> bool:
    """Whether something may still read standard output."""
    file = _guarded_output()
    return file is None or file.wait(0)


def pause(seconds: float) -> None:
    """Wait between two looks at something that a verb follows.

    Raises:
        ReaderEnded: nothing reads standard output any more.
    """
    file = _guarded_output()
    if file is None:
        time.sleep(seconds)
    elif not file.wait(seconds):
        raise ReaderEnded("nothing reads the output any more")


def _guarded_output() -> GuardedFile | None:
    """The file of standard output; None where it is not guarded."""
    file = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return file if isinstance(file, GuardedFile) else None
