"""A PostgreSQL database to ask the same questions as the other warehouses."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.state.pipeline.pipeline import Pipeline
from tests import factories
from tests.integration.warehouses import DAY, FIRST_DAY, LAST_DAY, Recorded, Row, typed

_TYPES = {"INT64": "BIGINT", "FLOAT64": "DOUBLE PRECISION", "STRING": "TEXT", "TIMESTAMP": "TIMESTAMPTZ"}
_TYPES |= {"DATETIME": "TIMESTAMP", "JSON": "JSONB"}


class PostgresqlHouse(Recorded):
    """The schemas `nba` and `nba_reference` of a database, made anew."""

    kind = "postgresql"

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__()
        self.url = url
        self._directory = directory
        self._connection = psycopg.connect(url, autocommit=True)
        self.run("SET client_min_messages = warning; SET TimeZone = 'UTC'")
        self.run("DROP SCHEMA IF EXISTS nba, nba_reference CASCADE")
        self.run("CREATE SCHEMA nba; CREATE SCHEMA nba_reference")

    def put(
        self, table: str, rows: Sequence[Row], *, by: str | None = "game_date", types: Row | None = None
    ) -> None:
        known = typed(rows, types)
        columns = ", ".join(f"{name} {_TYPES.get(kind, kind)}" for name, kind in known.items())
        self.run(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        named, places = ", ".join(known), ", ".join(["%s"] * len(known))
        with self._connection.cursor() as cursor:
            values = [[_value(row.get(name), kind) for name, kind in known.items()] for row in rows]
            cursor.executemany(f"INSERT INTO {table} ({named}) VALUES ({places})".encode(), values)

    def rewrite(self, table: str, date: Any, *, by: str = "game_date") -> None:
        self.run(f"UPDATE {table} SET {by} = {by} WHERE {by} = '{date}'")

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        series = f"generate_series('{FIRST_DAY}'::date, '{LAST_DAY}'::date, INTERVAL '1 day')"
        dates = f"(SELECT day::date FROM {series} AS day) AS days"
        self.run(f"CREATE TABLE {table} AS {select.format(dates=dates, double='DOUBLE PRECISION')}")

    def add_column(self, table: str, column: str) -> None:
        self.run(f"ALTER TABLE {table} ADD COLUMN {column} TEXT")
        self.run(f"UPDATE {table} SET {column} = 'x' WHERE game_date = '{DAY}'")

    def empty_partition(self) -> None:
        self.run("CREATE TABLE nba.box (game_date DATE, x INT) PARTITION BY RANGE (game_date)")
        bounds = f"FROM ('{DAY}') TO ('{DAY + dt.timedelta(days=1)}')"
        self.run(f"CREATE TABLE nba.box_of_day PARTITION OF nba.box FOR VALUES {bounds}")
        self.run("CREATE TABLE nba.box_of_others PARTITION OF nba.box DEFAULT")

    def pipeline(self, *phases: Any, **keys: Any) -> Pipeline:
        stated: Mapping[str, Any] = keys.get("warehouse", {})
        keys["warehouse"] = {"kind": "postgresql", "url": self.url, **stated}
        return factories.pipeline(*phases, at=self._directory / "pipeline.toml", **keys)

    def open(self, *phases: Any, **keys: Any) -> DescribedWarehouse:
        return self.opened(self.pipeline(*phases, **keys))

    def open_unreachable(self, *phases: Any) -> DescribedWarehouse:
        return self.open(*phases, warehouse={"url": "postgresql://reader@127.0.0.1:9/nowhere"})

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """The answer of a statement, as the owner of the database."""
        answer = self._connection.execute(statement.encode())
        return answer.fetchall() if answer.description else []

    def close(self) -> None:
        super().close()
        self._connection.close()


def _value(value: Any, kind: str) -> Any:
    return json.dumps(value) if kind == "JSON" and value is not None else value
