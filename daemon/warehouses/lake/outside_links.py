"""Symbolic links, and names of files in a table's metadata, that leave a lake.

DuckDB reads below the lake's root and nowhere else: SQL of the pipeline file must not read other files of the
machine, and whoever may write to the lake must not widen what is read by a link.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from backfilld.daemon.warehouses.lake.finished_files import entries

REMEDY = "mount the target there, or move it into the lake"

NAME_FILES_WITHIN = "write the table with its own files in the lake, and read no others by SQL"


def outside_files(root: Path, files: Iterable[str]) -> list[str]:
    """The files whose names leave the lake, as sentences, in order."""
    return [f"{path} is outside of the lake" for path in files if not _is_within(root, path)]


def _is_within(root: Path, path: str) -> bool:
    return Path(os.path.normpath(path)).is_relative_to(os.path.normpath(root))


def outside_link(root: Path, path: Path) -> str | None:
    """The first link on the way from the root to a path that leaves the lake, as a sentence; None without."""
    real_root = os.path.realpath(root)
    for place in reversed([path, *path.parents]):
        if place != root and place.is_relative_to(root) and os.path.islink(place):
            target = os.path.realpath(place)
            if os.path.commonpath([real_root, target]) != real_root:
                return f"{place} is a symbolic link to {target}, outside of the lake"
    return None


def outside_links(root: Path, directory: Path) -> list[str]:
    """The links at, above or below a table's directory that leave the lake, as sentences.

    Raises:
        OSError: a directory cannot be read.
    """
    above = outside_link(root, directory)
    return [above] if above else sorted(_below(root, os.fspath(directory)))


def _below(root: Path, directory: str) -> Iterator[str]:
    for entry in entries(directory):
        if entry.is_symlink():
            link = outside_link(root, Path(entry.path))
            yield from [link] if link else []
        elif entry.is_dir():
            yield from _below(root, entry.path)
