"""When the partitions of a lake were written, and whether they exist, by the status of their files."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from backfilld.daemon.warehouses.adapter import Partition, Purpose, QueryError, by_column
from backfilld.daemon.warehouses.lake.delta import is_delta
from backfilld.daemon.warehouses.lake.iceberg.current_metadata import is_iceberg
from backfilld.daemon.warehouses.lake.iceberg.table_cache import read as read_iceberg
from backfilld.daemon.warehouses.lake.layout import locate
from backfilld.daemon.warehouses.lake.table_scan_model import TableFiles

if TYPE_CHECKING:
    from backfilld.daemon.warehouses.lake.iceberg.table import IcebergTable

log = logging.getLogger(__name__)


class LakeStamps:
    """The write stamps of a lake directory. A partition without files has one too."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, str]:
        """A hash of each partition's files. Tables that cannot be read are left out."""
        del purpose
        return self._read(partitions, whole_tables=True)

    def read_unbilled(
        self, partitions: Collection[Partition], *, purpose: Purpose
    ) -> Mapping[Partition, str]:
        """As `read`, without tables whose files are of no date: a write changes the stamps of all dates."""
        del purpose
        return self._read(partitions, whole_tables=False)

    def _read(self, partitions: Collection[Partition], *, whole_tables: bool) -> Mapping[Partition, str]:
        stamps: dict[Partition, str] = {}
        for same, located in self._located(partitions):
            if isinstance(located, TableFiles):
                stamps |= _stamps_of_files(same, located) if whole_tables or located.kind != "column" else {}
            else:
                stamps |= {partition: located.stamp(partition.column, partition.date) for partition in same}
        return stamps

    def existing(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, bool]:
        """Whether each partition has a finished file, for tables whose directories or partitions are dates.

        Tables that cannot be read are left out.
        """
        del purpose
        existing: dict[Partition, bool] = {}
        for same, located in self._located(partitions):
            if not isinstance(located, TableFiles):
                known = {p: located.has_partition(p.column, p.date) for p in same}
                existing |= {
                    partition: is_there for partition, is_there in known.items() if is_there is not None
                }
            elif located.kind != "column":
                files = _by_date(located)
                existing |= {partition: bool(files[partition.date]) for partition in same}
            elif not located.files and not is_delta(self._directory(same[0])):
                existing |= dict.fromkeys(same, False)
        return existing

    def _located(
        self, partitions: Collection[Partition]
    ) -> Iterator[tuple[Sequence[Partition], TableFiles | IcebergTable]]:
        """The partitions of each table that can be read, whose files are located once."""
        for same in by_column(partitions).values():
            directory = self._directory(same[0])
            try:
                located: TableFiles | IcebergTable
                if is_iceberg(directory):
                    located = read_iceberg(directory)
                else:
                    located = locate(directory, same[0].column, [partition.date for partition in same])
                yield same, located
            except (OSError, QueryError) as error:
                log.warning("%s: its partitions cannot be read: %s", same[0].table, error)

    def _directory(self, partition: Partition) -> Path:
        return self._root.joinpath(*partition.table.split("."))


def _stamps_of_files(partitions: Sequence[Partition], located: TableFiles) -> Mapping[Partition, str]:
    if located.kind == "column":
        return dict.fromkeys(partitions, _hash(located.files))
    files = _by_date(located)
    return {partition: _hash(files[partition.date]) for partition in partitions}


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
