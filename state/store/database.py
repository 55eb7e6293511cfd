"""Transactions on the state database, and its upgrade at start.

SQLite's driver begins a transaction late, and two readers that both go on to write then lose updates
without an error. Writers therefore take the lock first (BEGIN IMMEDIATE); readers do not.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

Transaction = Connection
"""An open transaction, as the other modules of the store take it."""

MIGRATIONS = Path(__file__).parent.parent / "migrations"
LOCK_WAIT_SECONDS = 60
"""How long a transaction waits for another process that holds the database."""


class DatabaseUnusable(Exception):
    """The state database cannot be used; the message says why and what to do."""


class Database:
    """The state database at a URL."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self._engine = create_engine(self.url)
        if self.sqlite:
            _tune_sqlite(self._engine)
        self._reader = self._engine.execution_options(reading=True)

    @property
    def sqlite(self) -> bool:
        """Whether it is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(self.url.database or "")

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change rows: committed at the end, undone by an exception."""
        with self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that waits for no writer."""
        with self._reader.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def upgrade(self) -> None:
        """Bring the schema to the newest version, after a backup copy when there is something to lose.

        Raises:
            DatabaseUnusable: the file is no database, cannot be written, or comes from a newer version.
        """
        try:
            self._upgrade()
        except (DBAPIError, sqlite3.DatabaseError, OSError) as error:
            raise DatabaseUnusable(_remedy(self.url.render_as_string(), error)) from error

    def _upgrade(self) -> None:
        scripts = ScriptDirectory(str(MIGRATIONS))
        newest = scripts.get_current_head()
        with self._engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
        if current == newest:
            return
        if current is not None:
            self._refuse_newer(current, scripts)
            if self.sqlite:
                self.backup(self.path.with_name(f"{self.path.name}.before-{newest}"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _refuse_newer(self, current: str, scripts: ScriptDirectory) -> None:
        known = {script.revision for script in scripts.walk_revisions()}
        if current not in known:
            raise DatabaseUnusable(
                f"the state database has schema version {current}, which this backfilld does not know;"
                " it was written by a newer one: install that, or restore a backup"
            )

    def backup(self, target: Path) -> None:
        """Write a consistent copy of a live SQLite database to `target`, readable by the owner alone."""
        partial = target.with_name(f"{target.name}.partial")
        partial.touch(mode=0o600)
        with (
            contextlib.closing(sqlite3.connect(self.path)) as source,
            contextlib.closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
        partial.replace(target)


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for setting in (
            f"busy_timeout = {LOCK_WAIT_SECONDS * 1000}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _remedy(where: str, error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error)
    if "not a database" in text or "malformed" in text:
        return f"{where} is damaged ({text}); restore the latest backup beside it"
    if "readonly" in text or "unable to open" in text or "Permission" in text:
        return f"{where} cannot be written ({text}); check the directory's owner and rights"
    return f"{where} cannot be used: {text}"
