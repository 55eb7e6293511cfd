"""Transactions on the state database, and its upgrade at start.

SQLite's driver begins a transaction late, and two readers that both go on to write then lose updates
without an error. Writers therefore take the lock first (BEGIN IMMEDIATE, or an advisory lock in
PostgreSQL); readers do not, and see the database as it was at one moment.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from backfilld.state.store import postgresql
from backfilld.state.store.errors import DatabaseUnavailable, translate
from backfilld.state.store.schema_version import MIGRATIONS, schema_version

Transaction = Connection
"""An open transaction, as the other modules of the store take it."""

LOCK_WAIT_SECONDS = 20.0
"""How long a transaction waits for another process that holds the database."""
QUEUE_SECONDS = 1.0
"""How long a writer waits among those of its own process, where the next is woken at once; then as for
another process, which for SQLite is to sleep and look again, up to 100 ms each time."""


class Database:
    """The state database at a URL. `lock_wait` is how many seconds a transaction waits for another's."""

    def __init__(self, url: str, *, lock_wait: float = LOCK_WAIT_SECONDS) -> None:
        self.url = make_url(url)
        self._fence: Callable[[Connection], None] = lambda tx: None
        self._writer = threading.Lock()
        if self.sqlite:
            self._engine = create_engine(self.url)
            _tune_sqlite(self._engine, lock_wait)
            self._begin_writing, self._begin_reading = _begin_immediate, _begin
            self._reader = self._engine
        else:
            self._engine = postgresql.engine(self.url, lock_wait)
            self._begin_writing, self._begin_reading = postgresql.wait_for_writers, _nothing
            self._reader = self._engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )

    @property
    def sqlite(self) -> bool:
        """Whether it is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(self.url.database or "")

    @property
    def name(self) -> str:
        """The database as people know it: a file, or a URL without its password."""
        return str(self.path) if self.sqlite else self.url.render_as_string()

    @property
    def there(self) -> bool:
        """Whether its file is there; of a server's, a session tells.

        Raises:
            DatabaseUnusable: that may not be seen.
        """
        if not self.sqlite:
            return True
        try:
            self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise DatabaseUnavailable(f"{self.path}: {error.strerror}; ask as the daemon's user") from error
        return True

    @property
    def empty(self) -> bool:
        """Whether there is no state in it, as in a file that is not there.

        Raises:
            DatabaseUnusable: it cannot be read.
        """
        if self.sqlite:
            return not (self.there and self.path.stat().st_size > 0)
        with self.read() as tx:
            return MigrationContext.configure(tx).get_current_revision() is None

    def fence(self, check: Callable[[Connection], None]) -> None:
        """Have every later `write` checked at its beginning; what `check` raises goes to the writer."""
        self._fence = check

    @contextlib.contextmanager
    def write(self, *, fenced: bool = True) -> Iterator[Connection]:
        """A transaction that may change rows: committed at the end, undone by an exception.

        One that is not `fenced` is for what holds whoever leads, such as what was spent.

        Raises:
            DatabaseUnusable: it is locked, full, damaged or gone, or another's; nothing was changed.
        """
        with self._in_turn(), self.explaining(), self._engine.begin() as connection:
            self._begin_writing(connection)
            if fenced:
                self._fence(connection)
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view that waits for no writer.

        Raises:
            DatabaseUnusable: it is damaged or gone.
        """
        with self.explaining(), self._reader.begin() as connection:
            self._begin_reading(connection)
            yield connection

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[None]:
        """Writers of this process one after another, while none takes long."""
        first = self._writer.acquire(timeout=QUEUE_SECONDS)
        try:
            yield
        finally:
            if first:
                self._writer.release()

    def session(self) -> Connection:
        """A connection of its own, for locks that it holds until whoever asked for it closes it.

        Each of its statements is a transaction.
        """
        opened = self._reader.connect().execution_options(isolation_level="AUTOCOMMIT")
        opened.detach()
        return opened

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def verify(self) -> None:
        """Read all of an SQLite database, in about a second per GB, to find damage before it spreads.

        Raises:
            DatabaseUnusable: it is damaged.
        """
        if not self.sqlite:
            return
        with self.read() as tx:
            found = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise DatabaseUnavailable(f"{self.path} is damaged ({found}); restore the latest good backup")

    def upgrade(self) -> None:
        """Bring the schema to the newest version, after a backup copy when there is something to lose.

        Raises:
            DatabaseUnusable: the file is no database, cannot be written, or comes from a newer version.
        """
        with self.explaining():
            self._upgrade()

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Say in plain words what is wrong with the database as a whole; other errors pass as they are."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            told = translate(self.name, self.path if self.sqlite else None, error)
            if told is None:
                raise
            raise told from error

    def _upgrade(self) -> None:
        with self._engine.connect() as connection:
            found = schema_version(connection)
        if found.current == found.newest:
            return
        if not found.known:
            raise DatabaseUnavailable(
                f"the state database has schema version {found.current}, which this backfilld does not know;"
                " it was written by a newer one: install that, or restore a backup"
            )
        if found.current is not None and self.sqlite:
            self.backup(self.path.with_name(f"{self.path.name}.before-{found.newest}"))
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._engine.begin() as connection:
            self._begin_writing(connection)
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def backup(self, target: Path) -> None:
        """Write a consistent copy of a live SQLite database to `target`, readable by the owner alone.

        The copy is checked before it takes the place of an older one, so that damage replaces no good backup.

        Raises:
            DatabaseUnusable: there is no database, it is damaged, or the copy cannot be written.
        """
        if not self.there:
            raise DatabaseUnavailable(f"{self.path} is not there: nothing to copy")
        partial = target.with_name(f".{target.name}.partial")
        try:
            self._refuse_to_fill(target.parent)
            _copy(self.path, partial)
            partial.replace(target)
        except (sqlite3.Error, OSError) as error:
            raise translate(f"backup to {target}", None, error) or error from error
        finally:
            with contextlib.suppress(OSError):  # it is not there, or was told of
                partial.unlink()

    def _refuse_to_fill(self, folder: Path) -> None:
        """Raise where a copy does not fit: until it failed, it would take the room from what is at work."""
        log = self.path.with_name(f"{self.path.name}-wal")
        size = sum(file.stat().st_size for file in (self.path, log) if file.exists())
        free = shutil.disk_usage(folder).free
        if size > free:
            told = f"takes {size / 1e6:.1f} MB, and its disk has {free / 1e6:.1f} MB left; make room"
            raise DatabaseUnavailable(f"a copy in {folder} {told}")


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as live,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
        # As one file, which a person can move about, rather than one that wants its log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DatabaseUnavailable(f"{source} is damaged ({found}): no backup of it is kept")


def _tune_sqlite(engine: Engine, lock_wait: float) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for setting in (
            f"busy_timeout = {round(lock_wait * 1000)}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {setting}")


# Not by a listener for "begin": with any listener, SQLAlchemy prepares events for every statement.
def _begin(connection: Connection) -> None:
    connection.connection.cursor().execute("BEGIN")


def _begin_immediate(connection: Connection) -> None:
    connection.connection.cursor().execute("BEGIN IMMEDIATE")


def _nothing(connection: Connection) -> None:
    """PostgreSQL's driver begins by itself."""
