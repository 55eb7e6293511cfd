"""When the partitions of a lake were written, and whether they exist, by the status of their files."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from backfilld.daemon.warehouses.adapter import Partition, Purpose, QueryError
from backfilld.daemon.warehouses.lake.delta import is_delta
from backfilld.daemon.warehouses.lake.layout import TableFiles, locate


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
        stamps: dict[Partition, str] = {}
        for same, located in self._located(partitions):
            if located.kind == "column":
                stamps |= dict.fromkeys(same, _hash(located.files))
            else:
                files = _by_date(located)
                stamps |= {partition: _hash(files[partition.date]) for partition in same}
        return stamps

    def existing(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, bool]:
        """Whether each partition has a finished file, for tables whose directories name dates.

        Raises:
            QueryError: a directory cannot be read.
        """
        del purpose
        existing: dict[Partition, bool] = {}
        for same, located in self._located(partitions):
            if located.kind != "column":
                files = _by_date(located)
                existing |= {partition: bool(files[partition.date]) for partition in same}
            elif not located.files and not is_delta(self._directory(same[0])):
                existing |= dict.fromkeys(same, False)
        return existing

    def _located(self, partitions: Collection[Partition]) -> Iterator[tuple[Sequence[Partition], TableFiles]]:
        """The partitions of each table, whose files are located once."""
        by_column: dict[tuple[str, str], list[Partition]] = defaultdict(list)
        for partition in partitions:
            by_column[partition.table, partition.column].append(partition)
        try:
            for same in by_column.values():
                yield same, locate(self._directory(same[0]), same[0].column, [p.date for p in same])
        except OSError as error:
            raise QueryError(str(error), inaccessible=True, file_scoped=True) from error

    def _directory(self, partition: Partition) -> Path:
        return self._root.joinpath(*partition.table.split("."))


def _by_date(located: TableFiles) -> Mapping[dt.date, Sequence[str]]:
    files: dict[dt.date, list[str]] = defaultdict(list)
    for path, date in zip(located.files, located.dates, strict=True):
        files[date].append(path)
    return files


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
