"""Two warehouses to ask the same questions: a lake of Parquet files, and BigQuery behind its real client.

house.put("nba.box", [{"game_date": DAY, "game_id": "a"}])
house.open(phase("raw", processor("box"))).evidence({"box": [DAY]}, purpose="gate")
"""

import datetime as dt
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import duckdb
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from tests import factories
from tests.scratch_duckdb import scratch
from tests.timeouts import PATIENCE

DAY = dt.date(2021, 10, 26)
HISTORY = "nba_reference.processor_run_history"
START = dt.datetime(2025, 12, 1, 9, tzinfo=dt.UTC)

Row = Mapping[str, Any]

_projects = itertools.count(1)
_DUCKDB = {"INT64": "BIGINT", "FLOAT64": "DOUBLE", "STRING": "VARCHAR", "BOOL": "BOOLEAN"}
_DUCKDB |= {"TIMESTAMP": "TIMESTAMPTZ", "DATETIME": "TIMESTAMP"}
FIRST_DAY, LAST_DAY = "2021-10-19", "2022-06-25"
"""The days that `fill` fills: 250."""
_SERIES = f"generate_series(DATE '{FIRST_DAY}', DATE '{LAST_DAY}', INTERVAL 1 DAY)"
DUCKDB_DATES = f"(SELECT unnest({_SERIES})::DATE AS day)"


class House(Protocol):
    """A warehouse under test."""

    kind: str
    queries: list[tuple[str, int]]
    errors: int

    def put(
        self, table: str, rows: Sequence[Row], *, by: str | None = "game_date", types: Row | None = None
    ) -> None:
        """Add rows to a table that is partitioned by the date column `by`, or has no partitions."""

    def rewrite(self, table: str, date: dt.date, *, by: str = "game_date") -> None:
        """Write the rows of a date once more."""

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        """Make a table of a SELECT in which {dates} are all dates and {double} is the type of floats."""

    def add_column(self, table: str, column: str) -> None:
        """Give a table one more column of texts, with a value on DAY."""

    def open_unreachable(self, *phases: Any) -> DescribedWarehouse:
        """A warehouse of this kind that is not there."""

    def pipeline(self, *phases: Any, **keys: Any) -> Pipeline:
        """A pipeline on this warehouse."""

    def open(self, *phases: Any, **keys: Any) -> DescribedWarehouse:
        """The warehouse of such a pipeline; it is closed when the test ends."""


class Recorded:
    """Counts queries and errors, and closes the warehouses that were opened."""

    def __init__(self) -> None:
        self.queries: list[tuple[str, int]] = []
        self.errors = 0
        self._opened: list[DescribedWarehouse] = []

    def opened(self, pipeline: Pipeline) -> DescribedWarehouse:
        warehouse = open_warehouse(pipeline, on_query=self._query, on_error=self._error)
        self._opened.append(warehouse)
        return warehouse

    def close(self) -> None:
        for warehouse in self._opened:
            warehouse.close()

    def _query(self, purpose: str, billed: int) -> None:
        self.queries.append((purpose, billed))

    def _error(self) -> None:
        self.errors += 1


class LakeHouse(Recorded):
    """A lake in the test's own directory."""

    kind = "lake"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.root = directory / "lake"
        self.root.mkdir()
        self._files = itertools.count()

    def put(
        self, table: str, rows: Sequence[Row], *, by: str | None = "game_date", types: Row | None = None
    ) -> None:
        known = typed(rows, types)
        known.setdefault("loaded_by", "STRING")  # a file needs a column beside the partition's
        with scratch() as connection:
            insert(connection, "t", rows, known)
            self._write(connection, "t", table, by)

    def rewrite(self, table: str, date: dt.date, *, by: str = "game_date") -> None:
        for file in self.root.joinpath(*table.split("."), f"{by}={date}").glob("*.parquet"):
            written = file.with_suffix(".new")
            written.write_bytes(file.read_bytes())
            written.replace(file)

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        with scratch() as connection:
            connection.execute(f"CREATE TABLE t AS {select.format(dates=DUCKDB_DATES, double='DOUBLE')}")
            self._write(connection, "t", table, by)

    def pipeline(self, *phases: Any, **keys: Any) -> Pipeline:
        stated = keys.get("warehouse", {})
        keys["warehouse"] = stated if "kind" in stated else {"kind": "lake", "path": "lake", **stated}
        return factories.pipeline(*phases, at=self.root.parent / "pipeline.toml", **keys)

    def open(self, *phases: Any, **keys: Any) -> DescribedWarehouse:
        return self.opened(self.pipeline(*phases, **keys))

    def add_column(self, table: str, column: str) -> None:
        self.put(table, [{"game_date": DAY, "game_id": "g", column: "x"}])

    def empty_partition(self) -> None:
        directory = self.root / "nba" / "box" / f"game_date={DAY}"
        directory.mkdir(parents=True)
        with scratch() as connection:
            connection.execute(
                f"COPY (SELECT 1 AS x LIMIT 0) TO '{directory}/part-0.parquet' (FORMAT parquet)"
            )

    def open_unreachable(self, *phases: Any) -> DescribedWarehouse:
        return self.open(*phases, warehouse={"kind": "lake", "path": "nowhere"})

    def _write(self, connection: duckdb.DuckDBPyConnection, rows: str, table: str, by: str | None) -> None:
        directory = self.root.joinpath(*table.split("."))
        directory.mkdir(parents=True, exist_ok=True)
        if by is None:
            connection.execute(
                f"COPY {rows} TO '{directory}/part-{next(self._files)}.parquet' (FORMAT parquet)"
            )
            return
        connection.execute(
            f"COPY {rows} TO '{directory}' (FORMAT parquet, PARTITION_BY ({by}), APPEND, "
            f"FILENAME_PATTERN 'part-{next(self._files)}-{{uuid}}')"
        )


class BigQueryHouse(Recorded):
    """A project of its own on the emulator."""

    kind = "bigquery"

    def __init__(self, endpoint: str, directory: Path) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.project = f"test-{next(_projects)}"
        self._directory = directory
        self._made: set[str] = set()
        self.client = bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": endpoint},
        )
        for dataset in ("nba", "nba_reference"):
            self.client.create_dataset(dataset)

    def put(
        self, table: str, rows: Sequence[Row], *, by: str | None = "game_date", types: Row | None = None
    ) -> None:
        known = typed(rows, types)
        if table not in self._made:
            columns = ", ".join(f"{name} {kind}" for name, kind in known.items())
            self.run(f"CREATE TABLE {table} ({columns}){f' PARTITION BY {by}' if by else ''}")
            self._made.add(table)
        values = _values(rows, known, "PARSE_JSON({})").translate({ord("\n"): r"\n", ord("\r"): r"\r"})
        self.run(f"INSERT INTO {table} VALUES {values}")

    def rewrite(self, table: str, date: dt.date, *, by: str = "game_date") -> None:
        self.run(f"UPDATE {table} SET {by} = {by} WHERE {by} = DATE '{date}'")

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        dates = f"UNNEST(GENERATE_DATE_ARRAY(DATE '{FIRST_DAY}', DATE '{LAST_DAY}')) AS day"
        self.run(f"CREATE TABLE {table} PARTITION BY {by} AS {select.format(dates=dates, double='FLOAT64')}")

    def pipeline(self, *phases: Any, **keys: Any) -> Pipeline:
        ours = {"kind": "bigquery", "project": self.project, "endpoint": self.endpoint}
        keys["warehouse"] = {**ours, **keys.get("warehouse", {})}
        return factories.pipeline(*phases, at=self._directory / "pipeline.toml", **keys)

    def open(self, *phases: Any, **keys: Any) -> DescribedWarehouse:
        return self.opened(self.pipeline(*phases, **keys))

    def add_column(self, table: str, column: str) -> None:
        self.run(f"ALTER TABLE {table} ADD COLUMN {column} STRING")
        self.run(f"UPDATE {table} SET {column} = 'x' WHERE game_date = DATE '{DAY}'")

    def open_unreachable(self, *phases: Any) -> DescribedWarehouse:
        return self.open(*phases, warehouse={"endpoint": "http://127.0.0.1:9"})

    def run(self, sql: str) -> None:
        self.client.query_and_wait(sql, wait_timeout=PATIENCE)

    def close(self) -> None:
        super().close()
        self.client.close()  # type: ignore[no-untyped-call]


def typed(rows: Sequence[Row], types: Row | None) -> dict[str, str]:
    """The columns with BigQuery's types: as stated, else as the first value says."""
    known: dict[str, str] = {}
    for name in {name: None for row in rows for name in row}:
        values = [row[name] for row in rows if row.get(name) is not None]
        known[name] = (types or {}).get(name) or _kind(values[0] if values else "")
    return known


def _kind(value: Any) -> str:
    # bool before int and datetime before date: each is a kind of the other.
    kinds = {
        bool: "BOOL",
        int: "INT64",
        float: "FLOAT64",
        str: "STRING",
        dt.datetime: "TIMESTAMP",
        dt.date: "DATE",
    }
    return next(name for kind, name in kinds.items() if isinstance(value, kind))


def insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row], types: Mapping[str, str]
) -> None:
    """Insert rows into a table of DuckDB, which is created if it is missing; the types are BigQuery's."""
    kinds = {name: _DUCKDB.get(kind, kind) for name, kind in types.items()}
    connection.execute("SET TimeZone = 'UTC'")
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
    connection.execute(f"INSERT INTO {table} ({', '.join(kinds)}) VALUES {_values(rows, kinds, '{}::JSON')}")


def _values(rows: Sequence[Row], types: Mapping[str, str], as_json: str) -> str:
    return ", ".join(
        "(" + ", ".join(_literal(row.get(name), kind, as_json) for name, kind in types.items()) + ")"
        for row in rows
    )


def _literal(value: Any, kind: str, as_json: str) -> str:
    if value is None:
        return "NULL"
    if kind == "JSON":
        return as_json.format("'" + json.dumps(value) + "'")
    if isinstance(value, dt.datetime):
        return f"{kind} '{value:%Y-%m-%d %H:%M:%S}'"
    if isinstance(value, dt.date):
        return f"DATE '{value}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


def entry(
    name: str, run: str | None, status: str | None, *, hours: float = 0.0, day: dt.date = DAY, **more: Any
) -> Row:
    """A row of the run history; a run takes half an hour and starts `hours` after START."""
    began = START + dt.timedelta(hours=hours)
    ended = None if status == "running" else began + dt.timedelta(minutes=30)
    return {
        "processor_name": name,
        "data_date": day,
        "run_id": run,
        "status": status,
        "phase": "phase_2_raw",
        "started_at": began,
        "processed_at": ended,
        "errors": None,
        **more,
    }


def closed(name: str, run: str, status: str, **more: Any) -> list[Row]:
    """Both rows of a run that ended."""
    return [entry(name, run, "running", **more), entry(name, run, status, **more)]
