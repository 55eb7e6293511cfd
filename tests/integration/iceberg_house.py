"""A lake whose tables are Iceberg, written by pyiceberg with a catalog in a file beside it."""

import datetime as dt
import itertools
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import _pyarrow_to_schema_without_ids
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestWriter
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import assign_fresh_schema_ids
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update.snapshot import _FastAppendFiles, _OverwriteFiles
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record

from tests.integration.warehouses import DAY, DUCKDB_DATES, LakeHouse, Row, insert, typed
from tests.scratch_duckdb import scratch


class IcebergHouse(LakeHouse):
    """A lake of Iceberg tables in the test's own directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.catalog = SqlCatalog("tests", uri="sqlite://", warehouse=f"file://{self.root}")
        self.catalog.create_namespace("nba")
        self.catalog.create_namespace("nba_reference")
        self._numbers = itertools.count()

    def close(self) -> None:
        super().close()
        self.catalog.close()

    def table(self, name: str = "nba.box") -> Table:
        return self.catalog.load_table(name)

    def put(
        self, table: str, rows: Sequence[Row], *, by: str | None = "game_date", types: Row | None = None
    ) -> None:
        with scratch() as connection:
            insert(connection, "t", rows, typed(rows, types))
            self.append(table, arrow(connection, "t"), by=by)

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        with scratch() as connection:
            connection.execute(f"CREATE TABLE t AS {select.format(dates=DUCKDB_DATES, double='DOUBLE')}")
            self.append(table, arrow(connection, "t"), by=by)

    def rewrite(self, table: str, date: dt.date, *, by: str = "game_date") -> None:
        written, of_date = self.table(table), f"{by} = '{date}'"
        written.overwrite(written.scan(of_date).to_arrow(), overwrite_filter=of_date)

    def append(self, name: str, rows: pa.Table, *, by: str | None = "date", transform: Any = None) -> Table:
        """Append rows to a table, which is made, or gets further columns, where that is needed."""
        try:
            table = self.table(name)
        except NoSuchTableError:
            table = self.make(name, rows.schema, by=by, transform=transform)
        if not {*rows.column_names} <= {*table.schema().column_names}:
            with table.update_schema() as update:
                update.union_by_name(rows.schema)
        table.append(rows)
        return table

    def make(self, name: str, schema: pa.Schema, *, by: str | None = "date", transform: Any = None) -> Table:
        """A new table, partitioned by the transform of a column."""
        fresh = assign_fresh_schema_ids(_pyarrow_to_schema_without_ids(schema))
        fields = []
        if by:
            of_time = f"{by}_part" if transform else by
            number = fresh.find_field(by).field_id
            fields = [PartitionField(number, 1000, transform or IdentityTransform(), of_time)]
        location = f"file://{self.root.joinpath(*name.split('.'))}"
        return self.catalog.create_table(
            name, fresh, location=location, partition_spec=PartitionSpec(*fields)
        )

    def empty_partition(self) -> None:
        with scratch() as connection:
            self.make(
                "nba.box", arrow(connection, f"(SELECT DATE '{DAY}' AS game_date)").schema, by="game_date"
            )
            path = self.root / "nba" / "box" / "data" / "empty.parquet"
            path.parent.mkdir()
            ids = "FIELD_IDS {game_date: 1}"
            connection.execute(
                f"COPY (SELECT DATE '{DAY}' AS game_date LIMIT 0) TO '{path}' (FORMAT parquet, {ids})"
            )
        table = self.table()
        with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
            append.append_data_file(data_file(table, path, (DAY - dt.date(1970, 1, 1)).days, rows=0))

    def delete_by_file(
        self,
        *,
        content: DataFileContent = DataFileContent.POSITION_DELETES,
        kind: FileFormat = FileFormat.PARQUET,
    ) -> None:
        """Delete the first row of each file of 2024-03-01 by a file of deletes, as Trino and Flink do."""
        table, path = self.table(), self.root / "nba" / "box" / "data" / f"{uuid.uuid4()}-deletes.parquet"
        files = [task.file for task in table.scan("date = '2024-03-01'").plan_files()]
        with scratch() as connection:
            names = [file.file_path for file in files]
            connection.execute(
                "CREATE TABLE t AS SELECT unnest($1::VARCHAR[]) AS file_path, 0::BIGINT AS pos", [names]
            )
            ids = "FIELD_IDS {file_path: 2147483546, pos: 2147483545}"
            connection.execute(f"COPY t TO '{path}' (FORMAT parquet, {ids})")
        deletes = data_file(table, path, *partition_of(files[0]), rows=len(files), content=content, kind=kind)
        with table.transaction() as transaction:
            delta = _RowDelta(operation=Operation.DELETE, transaction=transaction, io=table.io)
            with delta:
                delta.append_data_file(deletes)

    def compact(self, name: str = "nba.box", where: str = "date = '2024-03-01'") -> None:
        """Write the rows of some files into one, as Spark's `rewrite_data_files` does."""
        table = self.table(name)
        old = [task.file for task in table.scan(where).plan_files()]
        path = Path(old[0].file_path.removeprefix("file://")).with_name(f"{uuid.uuid4()}.parquet")
        paths = ", ".join(f"'{file.file_path.removeprefix('file://')}'" for file in old)
        ids = ", ".join(f"{field.name}: {field.field_id}" for field in table.schema().fields)
        with scratch() as connection:
            rows = f"SELECT * FROM read_parquet([{paths}], hive_partitioning = false)"
            connection.execute(f"COPY ({rows}) TO '{path}' (FORMAT parquet, FIELD_IDS {{{ids}}})")
        with table.transaction() as transaction:
            replace = _Rewrite(operation=Operation.REPLACE, transaction=transaction, io=table.io)
            with replace:
                for file in old:
                    replace.delete_data_file(file)
                count = sum(file.record_count for file in old)
                replace.append_data_file(data_file(table, path, *partition_of(old[0]), rows=count))


class _RowDelta(_FastAppendFiles):
    """A commit of a file of deletes, which pyiceberg reads and does not write."""

    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriter:
        writer = super().new_manifest_writer(spec)
        writer.content = lambda: ManifestContent.DELETES  # type: ignore[method-assign]
        return writer


class _Rewrite(_OverwriteFiles):
    """A commit that changes no rows, whose summary pyiceberg does not know."""

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        return Summary(operation=Operation.REPLACE, **(snapshot_properties or {}))


def arrow(connection: duckdb.DuckDBPyConnection, relation: str) -> pa.Table:
    """A table or a query as Arrow."""
    return connection.sql(f"FROM {relation}").to_arrow_table()


def partition_of(file: DataFile) -> Sequence[Any]:
    """The values of a file's partition."""
    return [file.partition[place] for place in range(len(file.partition))]


def data_file(
    table: Table,
    path: Path,
    *partition: Any,
    rows: int,
    content: DataFileContent = DataFileContent.DATA,
    kind: FileFormat = FileFormat.PARQUET,
) -> DataFile:
    """A file of a table that pyiceberg did not write itself."""
    file = DataFile.from_args(
        content=content,
        file_path=f"file://{path}",
        file_format=kind,
        partition=Record(*partition),
        record_count=rows,
        file_size_in_bytes=path.stat().st_size,
        column_sizes=None,
        value_counts=None,
        null_value_counts=None,
        nan_value_counts=None,
        lower_bounds=None,
        upper_bounds=None,
        key_metadata=None,
        split_offsets=None,
        equality_ids=None,
        sort_order_id=None,
    )
    file.spec_id = table.spec().spec_id
    return file
