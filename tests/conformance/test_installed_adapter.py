"""An adapter of another package, found by its entry point."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon import adapters
from backfilld.daemon.adapters import load_pipeline, warehouse_adapter
from backfilld.daemon.warehouses.lake.settings import LakeSettings
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.pipeline.loading import PipelineError
from tests.conformance.builders import rows
from tests.integration.duckdb_house import DuckDBHouse
from tests.integration.warehouses import DAY

PACKAGE = Path(__file__).parent / "duckdb_file"

PIPELINE = """
name = "small"

[warehouse]
kind = "{kind}"
file = "platform.duckdb"

[[phase]]
name = "raw"
processor = [{{ name = "box", table = "nba.box", date_column = "game_date", command = ["true", "{{date}}"] }}]
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


def write(folder: Path, kind: str) -> Path:
    path = folder / "pipeline.toml"
    path.write_text(PIPELINE.format(kind=kind))
    return path


@pytest.mark.usefixtures("installed")
def test_a_pipeline_file_names_an_installed_kind(tmp_path: Path) -> None:
    house = DuckDBHouse(tmp_path)
    house.put("nba.box", rows(2))
    loaded = load_pipeline(write(tmp_path, "duckdb-file"))
    warehouse = open_warehouse(loaded)
    assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows == 2
    warehouse.close()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (
            "duckdb-fil",
            "'duckdb-fil' is not known; write 'bigquery' or 'broken' or 'duckdb' or 'duckdb-file'",
        ),
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
