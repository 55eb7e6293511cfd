"""An adapter of another package: found by its entry point, and held to the suite of warehouses."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from backfilld.daemon import adapters
from backfilld.daemon.adapters import load_pipeline, warehouse_adapter
from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.daemon.warehouses.lake.settings import LakeSettings
from backfilld.state.pipeline.loading import PipelineError
from tests.conformance.warehouse_suite import WarehouseSuite
from tests.integration.warehouses import DAY, LakeHouse, Row

PACKAGE = Path(__file__).parent / "duckdb_file"

PIPELINE = """
name = "small"

[warehouse]
kind = "{kind}"
file = "platform.duckdb"

[[phase]]
name = "raw"
processor = [{{ name = "box", table = "nba.box", command = ["true", "{{date}}"] }}]
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the path on which the package is installed, as pip would install it."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    shutil.copy(PACKAGE / "duckdb_file.py", folder)
    metadata = folder / "duckdb_file-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: duckdb-file\nVersion: 1.0\n")
    shutil.copy(PACKAGE / "entry_points.txt", metadata)
    monkeypatch.syspath_prepend(str(folder))
    adapters.kinds_of.cache_clear()
    yield folder
    adapters.kinds_of.cache_clear()
    sys.modules.pop("duckdb_file", None)


class DuckDBFileHouse(LakeHouse):
    """A DuckDB file in the test's own directory, into which rows are put as into a lake."""

    kind = "duckdb-file"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.file = directory / "platform.duckdb"
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("CREATE SCHEMA nba; CREATE SCHEMA nba_reference")

    def pipeline(self, *phases: Any, **keys: Any) -> Any:
        keys.setdefault("warehouse", {"kind": "duckdb-file", "file": "platform.duckdb"})
        return super().pipeline(*phases, **keys)

    def add_column(self, table: str, column: str) -> None:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR")
            connection.execute(f"UPDATE {table} SET {column} = 'x' WHERE game_date = DATE '{DAY}'")

    def open_unreachable(self, *phases: Any) -> DescribedWarehouse:
        return self.open(*phases, warehouse={"kind": "duckdb-file", "file": "nowhere.duckdb"})

    def put(
        self, table: str, rows: Sequence[Row], *, by: str | None = "game_date", types: Row | None = None
    ) -> None:
        super().put(table, rows, by=by, types=types)
        self._load(table)

    def fill(self, table: str, select: str, *, by: str = "game_date") -> None:
        super().fill(table, select, by=by)
        self._load(table)

    def _load(self, table: str) -> None:
        """Make the table anew of the files that were written for it."""
        files = self.root.joinpath(*table.split("."), "**", "*.parquet")
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(
                f"CREATE OR REPLACE TABLE {table} AS FROM read_parquet('{files}', union_by_name = true)"
            )


class TestInstalledAdapter(WarehouseSuite):
    @pytest.fixture
    def house(self, installed: Path, tmp_path: Path) -> Iterator[DuckDBFileHouse]:
        del installed
        house = DuckDBFileHouse(tmp_path)
        yield house
        house.close()


def write(folder: Path, kind: str) -> Path:
    path = folder / "pipeline.toml"
    path.write_text(PIPELINE.format(kind=kind))
    return path


@pytest.mark.usefixtures("installed")
def test_a_pipeline_file_names_an_installed_kind(tmp_path: Path) -> None:
    assert load_pipeline(write(tmp_path, "duckdb-file")).warehouse.kind == "duckdb-file"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("duckdb-fil", "'duckdb-fil' is not known; write 'bigquery' or 'broken' or 'duckdb-file' or 'lake'"),
        ("broken", "the adapter duckdb_file_of_yesterday:ADAPTER cannot be imported: No module named"),
        ("wrong", "the adapter duckdb_file:DuckDBFile is no WarehouseAdapter; correct its entry point"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_a_kind_that_cannot_be_used_is_a_mistake_of_the_file(tmp_path: Path, kind: str, problem: str) -> None:
    with pytest.raises(PipelineError) as raised:
        load_pipeline(write(tmp_path, kind))
    assert problem in str(raised.value)


@pytest.mark.usefixtures("installed")
def test_a_built_in_kind_cannot_be_replaced() -> None:
    assert warehouse_adapter("lake").settings is LakeSettings


def test_the_command_line_finds_it_too(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "backfilld", "pipeline", "check"]
    command += ["--pipeline", str(write(tmp_path, "duckdb-file"))]
    ended = subprocess.run(
        command, env={"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
