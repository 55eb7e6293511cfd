"""When the partitions of a lake were written, by the names, sizes, times and inodes of their files."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from backfilld.daemon.warehouses.adapter import Partition, Purpose, QueryError
from backfilld.daemon.warehouses.lake.layout import locate


class LakeStamps:
    """The write stamps of a lake directory. A partition without files has one too."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, str]:
        """A hash of each partition's files.

        Raises:
            QueryError: a directory cannot be read.
        """
        del purpose
        by_column: dict[tuple[str, str], list[Partition]] = defaultdict(list)
        for partition in partitions:
            by_column[partition.table, partition.column].append(partition)
        try:
            return {p: stamp for same in by_column.values() for p, stamp in self._stamps(same)}
        except OSError as error:
            raise QueryError(str(error), inaccessible=True, file_scoped=True) from error

    def _stamps(self, partitions: Sequence[Partition]) -> Iterator[tuple[Partition, str]]:
        """The stamps of partitions of one table, whose files are located once."""
        first = partitions[0]
        directory = self._root.joinpath(*first.table.split("."))
        located = locate(directory, first.column, [p.date for p in partitions])
        if located.kind == "column":
            yield from dict.fromkeys(partitions, _hash(located.files)).items()
            return
        files: dict[dt.date, list[str]] = defaultdict(list)
        for path, date in zip(located.files, located.dates, strict=True):
            files[date].append(path)
        for partition in partitions:
            yield partition, _hash(files[partition.date])


def _hash(files: Collection[str]) -> str:
    return hashlib.sha256("\n".join(_described(files)).encode("utf-8", "surrogateescape")).hexdigest()


def _described(files: Collection[str]) -> Iterator[str]:
    for path in files:
        try:
            status = os.stat(path)
        except FileNotFoundError:  # a job replaces it at this moment
            yield f"{path} gone"
        else:
            yield f"{os.path.basename(path)} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
