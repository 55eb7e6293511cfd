"""When the partitions of a lake were written, by the names, sizes, times and inodes of their files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
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
        try:
            return {partition: self._stamp(partition) for partition in partitions}
        except OSError as error:
            raise QueryError(str(error), inaccessible=True, file_scoped=True) from error

    def _stamp(self, partition: Partition) -> str:
        directory = self._root.joinpath(*partition.table.split("."))
        files = locate(directory, partition.column, [partition.date]).files
        return hashlib.sha256("\n".join(_described(files)).encode("utf-8", "surrogateescape")).hexdigest()


def _described(files: Collection[str]) -> Iterator[str]:
    for path in files:
        try:
            status = os.stat(path)
        except FileNotFoundError:  # a job replaces it at this moment
            yield f"{path} gone"
        else:
            yield f"{os.path.basename(path)} {status.st_size} {status.st_mtime_ns} {status.st_ino}"
