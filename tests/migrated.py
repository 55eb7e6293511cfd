"""A new SQLite state database of the newest schema: copying one is quicker than to make it."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from pathlib import Path

from backfilld.state.store.database import Database


def copy(path: Path) -> str:
    """The URL of the database at `path`, which is made where there is none."""
    if not path.exists():
        path.write_bytes(_empty())
    return f"sqlite:///{path}"


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
