"""New SQLite state databases of the newest schema: copied, with compiled statements in common."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from backfilld.state.store.database import Database

_FIRST: dict[str, Engine] = {}
"""The first engine of each driver, whose compiled statements the others use."""


def copy(path: Path) -> str:
    """The URL of the database at `path`, which is made where there is none."""
    if not path.exists():
        path.write_bytes(_empty())
    return f"sqlite:///{path}"


def opened(url: str) -> Database:
    """A database at a URL. Those of SQLite share compiled statements, which take a third of a test.

    They do not wait for the disk at each commit either: no test in one process is about a loss of power.
    """
    database = Database(url)
    if database.sqlite:
        _share_statements(database._engine)
        event.listen(database._engine, "connect", _wait_for_no_disk)
    return database


def _wait_for_no_disk(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def _share_statements(engine: Engine) -> None:
    first = _FIRST.setdefault(engine.dialect.driver, engine)
    # A compiled statement belongs to a dialect, so the dialect is shared with it.
    engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache


@functools.cache
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "state.db")
        database = Database(f"sqlite:///{path}")
        database.upgrade()
        database.close()
        with sqlite3.connect(path) as connection:
            content = connection.serialize()
        connection.close()
    return content
