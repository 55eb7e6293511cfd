"""The tutorials work as they are written, pasted at once: files, commands, and what these print."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
import requests

from tests import postgresql
from tests.acceptance.page_reader import Reader
from tests.documents import ROOT
from tests.timeouts import PATIENCE


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    found = Reader(tmp_path)
    yield found
    found.leave()


def test_the_tutorial_from_an_empty_directory_to_a_finished_season(reader: Reader):
    reader.follow((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    page = requests.get(reader.url, timeout=PATIENCE)
    assert page.ok
    assert "weather" in page.text
    # Then dates were loaded side by side, as many as the file allows and the text says
    found = requests.get(f"{reader.url}/v1/attempts?processor=readings&limit=500", timeout=PATIENCE).json()
    assert most_at_once([(row["started_at"], row["ended_at"]) for row in found["items"]]) == 4


def most_at_once(spans: Sequence[tuple[str, str]]) -> int:
    """How many spans of time, each with its begin and its end, overlap at most."""
    return max(sum(begin <= other < end for begin, end in spans) for other, _ in spans)


@pytest.mark.packages
def test_the_tutorial_of_postgresql_from_an_empty_database(
    postgresql_server: postgresql.Server, tmp_path: Path
) -> None:
    where = psycopg.conninfo.conninfo_to_dict(postgresql_server.url("postgres"))
    reader = Reader(tmp_path, PGHOST=str(where["host"]), PGUSER=str(where["user"]))
    try:
        reader.follow((ROOT / "docs" / "tutorial-postgresql.md").read_text(encoding="utf-8"))
    finally:
        reader.leave()
