"""The finished files of a lake: which count, and which are another program's unfinished write."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

_ENDINGS = (".parquet", ".parq", ".pq")
_MAGIC = b"PAR1"
_COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".zip")
_OTHER_DATA = (".csv", ".tsv", ".jsonl", ".ndjson", ".avro", ".orc", ".arrow", ".feather", ".xlsx")
"""Endings of files of rows that a lake does not read."""


def entries(directory: str) -> list[os.DirEntry[str]]:
    """The entries of a directory; none where it does not exist.

    Those of another program's own are left out: `_temporary`, `_SUCCESS`, `.part-0.crc`.

    Raises:
        OSError: it cannot be read, or is a file.
    """
    try:
        with os.scandir(directory) as found:
            return [entry for entry in found if not entry.name.startswith((".", "_"))]
    except FileNotFoundError:
        return []


def finished_files(directory: Path | str) -> list[str]:
    """The finished Parquet files at any depth below a directory, sorted; none where it does not exist.

    Raises:
        OSError: a directory cannot be read, or is a file.
    """
    return sorted(_finished_files(os.fspath(directory)))


def _finished_files(directory: str) -> Iterator[str]:
    for entry in entries(directory):
        if entry.is_dir():
            yield from _finished_files(entry.path)
        elif is_finished(entry):
            yield entry.path


def unread_file(directories: Sequence[str]) -> str | None:
    """The first file below some directories, where none of their files is read; else None.

    Raises:
        OSError: a directory cannot be read.
    """
    if any(finished_files(directory) for directory in directories):
        return None
    return min((path for directory in directories for path in _files(directory)), default=None)


def uncounted_file(directories: Sequence[str]) -> str | None:
    """The first file of rows below some directories that is not read, beside files that are; else None.

    Raises:
        OSError: a directory cannot be read.
    """
    if not any(finished_files(directory) for directory in directories):
        return None
    paths = (path for directory in directories for path in _files(directory))
    return min(filter(_has_other_rows, paths), default=None)


def _has_other_rows(path: str) -> bool:
    """Whether a name is that of rows in another format than Parquet, or of a compressed file of rows."""
    name = os.path.basename(path).lower()
    stem, ending = os.path.splitext(name)
    return stem.endswith((*_OTHER_DATA, *_ENDINGS)) if ending in _COMPRESSED else name.endswith(_OTHER_DATA)


def _files(directory: str) -> Iterator[str]:
    for entry in entries(directory):
        if entry.is_dir():
            yield from _files(entry.path)
        else:
            yield entry.path


def is_finished(entry: os.DirEntry[str]) -> bool:
    """Whether a file is finished Parquet: by its ending, or without one by its first and last bytes."""
    if entry.name.lower().endswith(_ENDINGS):
        return True
    return "." not in entry.name and entry.is_file() and _is_parquet(entry.path)


def _is_parquet(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            begins = file.read(len(_MAGIC))
            file.seek(-len(_MAGIC), os.SEEK_END)
            return begins == file.read() == _MAGIC
    except OSError:
        return False
