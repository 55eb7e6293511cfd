"""A DuckDB file that is queried as the other warehouses are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.state.pipeline.pipeline import Pipeline
from tests import factories
from tests.integration.warehouses import DAY, DUCKDB_DATES, Recorded, Row, insert, typed
from tests.scratch_duckdb import scratch


class DuckDBHouse(Recorded):
    """The schemas `nba` and `nba_reference` of a file in the test's own directory."""

    kind = "duckdb"

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.file = directory / "platform.duckdb"
        self.run("CREATE SCHEMA nba; CREATE SCHEMA nba_reference")

    def put(
        self, table: str, rows: Sequence[Row], *, by: str | None = "game_date", types: Row | None = None
    ) -> None:
        with scratch(self.file) as connection:
            insert(connection, table, rows, typed(rows, types))

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        self.run(f"CREATE TABLE {table} AS {select.format(dates=DUCKDB_DATES, double='DOUBLE')}")

    def rewrite(self, table: str, date: Any, *, by: str = "game_date") -> None:
        self.run(f"UPDATE {table} SET {by} = {by} WHERE {by} = DATE '{date}'")

    def add_column(self, table: str, column: str) -> None:
        self.run(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")
        self.run(f"UPDATE {table} SET {column} = 'x' WHERE game_date = DATE '{DAY}'")

    def pipeline(self, *phases: Any, **keys: Any) -> Pipeline:
        stated: Mapping[str, Any] = keys.get("warehouse", {})
        keys["warehouse"] = {"kind": "duckdb", "file": self.file.name, **stated}
        return factories.pipeline(*phases, at=self.file.parent / "pipeline.toml", **keys)

    def open(self, *phases: Any, **keys: Any) -> DescribedWarehouse:
        return self.opened(self.pipeline(*phases, **keys))

    def open_unreachable(self, *phases: Any) -> DescribedWarehouse:
        return self.open(*phases, warehouse={"file": "nowhere.duckdb"})

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """The answer of a statement of a writer that opens the file and closes it."""
        with scratch(self.file) as connection:
            return connection.execute(statement).fetchall()
