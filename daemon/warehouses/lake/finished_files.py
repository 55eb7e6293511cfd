"""The finished files of a lake: which count, and which are another program's unfinished write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ENDINGS = (".parquet", ".parq", ".pq")
_MAGIC = b"PAR1"


def is_hidden(name: str) -> bool:
    """Whether a file or a directory is another program's own: `_temporary`, `_SUCCESS`, `.part-0.crc`."""
    return name.startswith((".", "_"))


def finished_files(directory: Path | str) -> list[str]:
    """The finished Parquet files at any depth below a directory, sorted; none where it does not exist.

    Raises:
        OSError: a directory cannot be read, or is a file.
    """
    return sorted(_finished_files(os.fspath(directory)))


def _finished_files(directory: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    for entry in entries:
        if is_hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _finished_files(entry.path)
        elif is_finished(entry):
            yield entry.path


def is_finished(entry: os.DirEntry[str]) -> bool:
    """Whether a file is finished Parquet: by its ending, or without one by its first and last bytes."""
    if entry.name.endswith(_ENDINGS):
        return True
    return "." not in entry.name and _is_parquet(entry.path)


def _is_parquet(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            begins = file.read(len(_MAGIC))
            file.seek(-len(_MAGIC), os.SEEK_END)
            return begins == file.read() == _MAGIC
    except OSError:
        return False
