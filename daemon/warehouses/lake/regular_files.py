"""Data files of a lake must be regular files: opening a FIFO or a device may never return."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from backfilld.daemon.warehouses.adapter import QueryError

REMEDY = "remove it, or write a regular file in its place"
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_kind(path: str) -> str:
    """What a path is that is neither a regular file nor a directory, with its article; else empty.

    Links are followed. A path that does not exist, or may not be reached, is left to whoever opens it.
    """
    try:
        return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "")
    except OSError:
        return ""


def require_regular_files(paths: Iterable[str]) -> None:
    """Raise a QueryError that names the first path that is no regular file."""
    for path in paths:
        if kind := special_kind(path):
            raise QueryError(
                f"{path} is {kind}, not a file; {REMEDY}", date_scoped=True, file_scoped=True, permanent=True
            )
