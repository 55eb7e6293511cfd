"""Fixtures that several integration tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.api_world import Api, listening, make_api
from tests.integration.command_line import CommandLine, beside
from tests.integration.duckdb_house import DuckDBHouse
from tests.integration.postgresql_house import PostgresqlHouse
from tests.integration.warehouses import BigQueryHouse, House, LakeHouse


@pytest.fixture
def api(tmp_path: Path) -> Api:
    """The API of a daemon in a simulated world."""
    return make_api(tmp_path)


@pytest.fixture
def command(
    api: Api, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[CommandLine]:
    """The command line beside that API."""
    with beside(api, monkeypatch, capsys) as found:
        yield found


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    """Where that API listens."""
    with listening(api.app) as url:
        yield url


@pytest.fixture
def lake_house(tmp_path: Path) -> Iterator[LakeHouse]:
    """A lake without tables."""
    house = LakeHouse(tmp_path)
    yield house
    house.close()


@pytest.fixture
def bigquery_house(bigquery_endpoint: str, tmp_path: Path) -> Iterator[BigQueryHouse]:
    """A BigQuery project without tables."""
    house = BigQueryHouse(bigquery_endpoint, tmp_path)
    yield house
    house.close()


@pytest.fixture
def duckdb_house(tmp_path: Path) -> Iterator[DuckDBHouse]:
    """A DuckDB file without tables."""
    house = DuckDBHouse(tmp_path)
    yield house
    house.close()


@pytest.fixture
def postgresql_house(postgresql_warehouse: str, tmp_path: Path) -> Iterator[PostgresqlHouse]:
    """A PostgreSQL database without tables."""
    house = PostgresqlHouse(postgresql_warehouse, tmp_path)
    yield house
    house.close()


@pytest.fixture(params=["lake", "bigquery", pytest.param("postgresql", marks=pytest.mark.packages)])
def house(request: pytest.FixtureRequest) -> House:
    """Each warehouse: what holds of one must hold of the others."""
    found: House = request.getfixturevalue(f"{request.param}_house")
    return found
