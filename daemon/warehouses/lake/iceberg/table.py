"""The current snapshot of an Iceberg table: its columns, its files, and the write stamps of its dates."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from backfilld.daemon.warehouses.lake.iceberg.columns import Column, schema_text
from backfilld.daemon.warehouses.lake.iceberg.data_files import IcebergFile
from backfilld.daemon.warehouses.lake.iceberg.field_id_check import require_field_ids
from backfilld.daemon.warehouses.lake.iceberg.local_file_paths import Locations
from backfilld.daemon.warehouses.lake.table_scan_model import TableFiles

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """The files that a snapshot added and removed which changed no rows."""

    snapshot_id: int
    added: Sequence[IcebergFile]
    removed: Sequence[IcebergFile]


@dataclass(frozen=True, kw_only=True)
class IcebergTable:
    """The current snapshot of a table."""

    uuid: str
    locations: Locations
    columns: Mapping[str, Column]
    """By name in lower case."""
    partition_column: str | None
    """The column whose date the partitions are, in lower case."""
    changed_at: float
    """Epoch seconds of the last commit."""
    manifests: Mapping[str, Sequence[IcebergFile]]
    """The files by the name of their manifest."""
    compactions: Sequence[Compaction]
    """The latest one first."""
    has_name_mapping: bool
    """Whether files without field ids may be part of the table."""
    identified: set[str] = field(default_factory=set)
    """The paths of files that are known to have field ids."""

    def files(self, column: str, dates: Collection[dt.date]) -> TableFiles:
        """The files that may have rows of some dates.

        Raises:
            QueryError: a file cannot be read by field ids.
        """
        found = self.columns.get(column.lower())
        if found is None:
            return self.whole()
        wanted = sorted(dates)
        if found.time_type:  # whose dates are days of a time zone, not of UTC
            wanted = sorted({date + offset for date in dates for offset in (-_DAY, _DAY * 0, _DAY)})
        selected = self._index(found.field_id).files.of(wanted)
        if found.time_type or found.type == "DATE":
            return self._table_files(selected)
        spans = [file.spans.get(found.field_id) for file in selected if not file.is_delete]
        days = [span.first for span in spans if span and span.is_partition]
        return self._table_files(selected, days if len(days) == len(spans) else None)

    def whole(self) -> TableFiles:
        """All files.

        Raises:
            QueryError: a file cannot be read by field ids.
        """
        return self._table_files(self._files)

    def stamp(self, column: str, date: dt.date) -> str:
        """A hash of the files that may have rows of a date, as they were before they were compacted."""
        index = self._index(self._field_id(column))
        names = {file.name for file in index.files.of([date])}
        for added, removed in index.compactions:
            compacted = {file.name for file in added.of([date])}
            if compacted and compacted <= names:
                names = (names - compacted) | {file.name for file in removed.of([date])}
        return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()

    def has_partition(self, column: str, date: dt.date) -> bool | None:
        """Whether the partition of a date has a file; None where partitions are not dates of the column."""
        if column.lower() != self.partition_column:
            return None
        number = self.columns[self.partition_column].field_id
        return any(
            not file.is_delete and number in file.spans and file.spans[number].is_partition
            for file in self._index(number).files.of([date])
        )

    @cached_property
    def _files(self) -> Sequence[IcebergFile]:
        return [file for files in self.manifests.values() for file in files]

    @cached_property
    def _indexes(self) -> dict[int | None, _Index]:
        return {}

    def _index(self, field_id: int | None) -> _Index:
        index = self._indexes.get(field_id)
        if index is None:
            of_compactions = [
                (_FilesByDate(change.added, field_id), _FilesByDate(change.removed, field_id))
                for change in self.compactions
            ]
            index = _Index(_FilesByDate(self._files, field_id), of_compactions)
            self._indexes[field_id] = index
        return index

    def _field_id(self, column: str) -> int | None:
        found = self.columns.get(column.lower())
        return found.field_id if found else None

    def _table_files(
        self, selected: Collection[IcebergFile], dates: Sequence[dt.date] | None = None
    ) -> TableFiles:
        names = [file.name for file in selected if not file.is_delete]
        paths = [self.locations.path(name) for name in names]
        if self.has_name_mapping:
            require_field_ids(set(paths) - self.identified)
            self.identified.update(paths)
        return TableFiles(
            kind="column" if dates is None else "mapped",
            files=paths,
            dates=dates or (),
            schema=schema_text(self.columns.values()),
            deletes=[self.locations.path(file.name) for file in selected if file.is_delete],
            names=names,
        )


class _FilesByDate:
    """Files by the dates whose rows they may have."""

    def __init__(self, files: Iterable[IcebergFile], field_id: int | None) -> None:
        self._field_id = field_id
        self._of_one_date: dict[dt.date, list[IcebergFile]] = defaultdict(list)
        self._others: list[IcebergFile] = []
        for file in files:
            span = None if field_id is None else file.spans.get(field_id)
            if span and span.first == span.last:
                self._of_one_date[span.first].append(file)
            else:
                self._others.append(file)

    def of(self, dates: Sequence[dt.date]) -> Sequence[IcebergFile]:
        """The files that may have rows of some dates, which are in ascending order."""
        files = [file for date in dates for file in self._of_one_date.get(date, ())]
        return files + [file for file in self._others if file.may_have(self._field_id, dates)]


@dataclass(frozen=True, slots=True)
class _Index:
    files: _FilesByDate
    compactions: Sequence[tuple[_FilesByDate, _FilesByDate]]
    """Added and removed files, the latest compaction first."""
