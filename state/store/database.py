"""Transactions on the state database, its schema upgrade at start, and its backups.

The SQLite driver begins a transaction late: two transactions that read and then write can lose an update
without an error. A writing transaction therefore takes the write lock first (BEGIN IMMEDIATE in SQLite, an
advisory lock in PostgreSQL). A reading transaction takes no lock and sees one consistent snapshot.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backfilld.state.store import postgresql, sqlite, sqlite_file_checksum
from backfilld.state.store.database_errors import DatabaseUnavailable, NotLeader, translate
from backfilld.state.store.integrity import damaged_schema, damaged_values
from backfilld.state.store.schema_creation import create_schema
from backfilld.state.store.schema_version import MIGRATIONS, current_revision, schema_version

Transaction = Connection
"""An open transaction, the first argument of every function of the store."""

LOCK_WAIT_SECONDS = 20.0
"""How long a transaction waits for another process to release the write lock."""
_LOST_REMEDIES = {
    "": "stop the daemon and restore the latest good backup",
    "-wal": "restart the daemon with SIGTERM: that saves the content, while kill -9 loses it",
}
QUEUE_SECONDS = 1.0
"""How long a writer waits for other writers of its process, which wake it without delay. After that it waits
as for another process: SQLite polls its lock every 100 ms."""


class Database:
    """The state database at a URL. `lock_wait` is the number of seconds a transaction waits for a lock."""

    def __init__(self, url: str, *, lock_wait: float = LOCK_WAIT_SECONDS) -> None:
        self.url = make_url(url)
        self._fence: Callable[[Connection], None] = lambda tx: None
        self._writer = threading.Lock()
        self._files: dict[str, int] = {}
        self.failed_write = ""
        """Why the latest write failed; empty where it succeeded."""
        self._transactions: sqlite.Transactions | postgresql.Transactions
        if self.sqlite:
            self._engine = sqlite.engine(self.url, lock_wait)
            self._transactions = sqlite.Transactions(self._engine)
        else:
            self._engine = postgresql.engine(self.url, lock_wait)
            self._transactions = postgresql.Transactions(self._engine)

    @property
    def sqlite(self) -> bool:
        """Whether it is an SQLite database."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(self.url.database or "")

    @property
    def name(self) -> str:
        """The database in messages: the path of a file, or a URL without its password."""
        return str(self.path) if self.sqlite else self.url.render_as_string()

    @property
    def exists(self) -> bool:
        """Whether the SQLite file exists; always True for a server, where a connection shows it.

        Raises:
            DatabaseUnavailable: the directory cannot be read.
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
        """Whether it holds no state: no file, an empty file, or no schema.

        Raises:
            DatabaseUnavailable: it cannot be read.
        """
        if self.sqlite:
            return not (self.exists and self.path.stat().st_size > 0)
        with self.read() as tx:
            return current_revision(tx) is None

    def fence(self, check: Callable[[Connection], None]) -> None:
        """Run `check` at the start of every later `write`; its exception aborts the transaction."""
        self._fence = check

    @contextlib.contextmanager
    def write(self, *, fenced: bool = True) -> Iterator[Connection]:
        """A transaction that may change rows: committed at the end, rolled back by an exception.

        Without `fenced` it skips the check of `fence`, for facts that hold whichever daemon leads, such as
        bytes that were billed.

        Raises:
            DatabaseUnavailable: it is locked, full, damaged or unreachable; nothing was changed.
            NotLeader: another daemon leads; nothing was changed.
        """
        try:
            with self._serialize_writers(), self.translate_errors(), self._transactions.write() as connection:
                if fenced:
                    self._fence(connection)
                yield connection
        except NotLeader:
            raise
        except DatabaseUnavailable as error:
            self.failed_write = str(error)
            raise
        self.failed_write = ""

    def try_write(self) -> None:
        """Write what is there already. Raises DatabaseUnavailable if the database takes no writes."""
        with self.write(fenced=False) as tx:
            tx.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot that waits for no writer.

        Raises:
            DatabaseUnavailable: it is damaged or unreachable.
        """
        with self.translate_errors(), self._transactions.read() as connection:
            yield connection

    @contextlib.contextmanager
    def _serialize_writers(self) -> Iterator[None]:
        """Let one writer of this process run at a time, unless one takes longer than QUEUE_SECONDS."""
        acquired = self._writer.acquire(timeout=QUEUE_SECONDS)
        try:
            yield
        finally:
            if acquired:
                self._writer.release()

    def session(self) -> Connection:
        """A connection outside of the pool, for session locks: it holds them until the caller closes it.

        Each statement is a transaction of its own.
        """
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        return connection

    def close(self) -> None:
        """Close all connections."""
        self._transactions.close()
        self._engine.dispose()
        self._files.clear()

    def lost_file(self) -> str:
        """Which file of an open SQLite database was deleted or replaced since the first call, and the remedy.

        Empty if none was. The connections still use the deleted file; an orderly stop saves its content.
        """
        if not self.sqlite:
            return ""
        for suffix in ("", "-wal"):
            path = self.path.with_name(f"{self.path.name}{suffix}")
            inode = path.stat().st_ino if path.exists() else 0
            if self._files.setdefault(suffix, inode) != inode:
                return (
                    f"{path} was deleted or replaced while the daemon was running; {_LOST_REMEDIES[suffix]}"
                )
        return ""

    def open(self, *, trusting_checksum: bool = False) -> None:
        """Check an SQLite file for damage, and bring the schema to the newest version.

        The check takes some seconds for each 100 MB. With `trusting_checksum` it is left out where the file
        is bit for bit as `record_checksum` found it.

        Raises:
            DatabaseUnavailable: it is damaged, or `upgrade` raised it.
        """
        intact = (
            not self.sqlite or (trusting_checksum and sqlite_file_checksum.matches(self.path)) or self.empty
        )
        if not intact:
            self._verify_structure()
        self.upgrade()
        if not intact:
            self._verify_content()

    def verify(self) -> None:
        """Check an SQLite database of the newest version for damage, while it is in use.

        Raises:
            DatabaseUnavailable: it is damaged.
        """
        if self.sqlite:
            self._verify_structure()
            self._verify_content()

    def record_checksum(self) -> None:
        """Record that an SQLite database is intact as it is. Call it after `close`, as its only user."""
        if self.sqlite:
            sqlite_file_checksum.record(self.path)

    def _verify_structure(self) -> None:
        """Compare every table with its indexes and constraints."""
        with self._failed_statements_as_damage(), self.read() as tx:
            result = tx.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        if result != "ok":
            raise self._damaged(result)

    def _verify_content(self) -> None:
        """Check schema and values, of which the structure says nothing."""
        with self._failed_statements_as_damage(), self.read() as tx:
            damage = damaged_schema(tx) or damaged_values(tx)
        if damage:
            raise self._damaged(damage)

    @contextlib.contextmanager
    def _failed_statements_as_damage(self) -> Iterator[None]:
        """Raise DatabaseUnavailable where an SQLite database lacks what each statement of a start needs."""
        try:
            yield
        except DBAPIError as error:
            if not self.sqlite:
                raise
            raise self._damaged(str(error.orig)) from error

    def _damaged(self, how: str) -> DatabaseUnavailable:
        return DatabaseUnavailable(f"{self.path} is damaged ({how}); restore the latest good backup")

    def upgrade(self, migrations: Path = MIGRATIONS) -> None:
        """Bring the schema to the newest version, in one transaction; copy an SQLite file first.

        Raises:
            DatabaseUnavailable: it is no database, cannot be written, or was written by a newer program or
                by the first edition; nothing was changed.
        """
        with self.translate_errors():
            self._upgrade(migrations)

    @contextlib.contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise DatabaseUnavailable for an error of the database as a whole; other errors pass unchanged."""
        try:
            yield
        except (DBAPIError, PoolTimeout, sqlite3.Error, UnicodeDecodeError) as error:
            translated = translate(self.name, self.path if self.sqlite else None, error)
            if translated is None:
                raise
            raise translated from error

    def _upgrade(self, migrations: Path) -> None:
        with (
            self._failed_statements_as_damage(),
            self.translate_errors(),
            self._engine.connect() as connection,
        ):
            version = schema_version(connection, migrations)
        if version.problem:
            raise DatabaseUnavailable(version.problem)
        if version.current == version.newest:
            return
        if version.current is not None and self.sqlite:
            self.backup(self.path.with_name(f"{self.path.name}.before-{version.newest}"))
        if version.current is None and migrations == MIGRATIONS:
            with (
                self._failed_statements_as_damage(),  # as of tables without a version
                self.translate_errors(),
                self._transactions.write() as connection,
            ):
                create_schema(connection, version.newest)
            return
        from alembic import command  # noqa: PLC0415  only an upgrade needs it
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(migrations))
        with self._transactions.write() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def backup(self, target: Path) -> None:
        """Write a consistent copy of a live SQLite database to `target`, with mode 0600.

        The copy is checked before it replaces an older one: a damaged database replaces no good backup.

        Raises:
            DatabaseUnavailable: there is no database, it is damaged, or the copy cannot be written.
        """
        if not self.exists:
            raise DatabaseUnavailable(f"{self.path} is not there: nothing to copy")
        partial = target.with_name(f".{target.name}.partial")
        try:
            self._refuse_to_fill(target.parent)
            _copy(self.path, partial)
            partial.replace(target)
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise translate(f"backup to {target}", None, error) or error from error
        finally:
            with contextlib.suppress(OSError):  # it does not exist, or its error was raised above
                partial.unlink()

    def _refuse_to_fill(self, folder: Path) -> None:
        """Refuse a copy that does not fit: before it failed, it would fill the disk that the daemon needs."""
        log = self.path.with_name(f"{self.path.name}-wal")
        size = sum(file.stat().st_size for file in (self.path, log) if file.exists())
        free = shutil.disk_usage(folder).free
        if size > free:
            sizes = f"takes {size / 1e6:.1f} MB, and its disk has {free / 1e6:.1f} MB left"
            raise DatabaseUnavailable(f"a copy in {folder} {sizes}; make room")


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with (
        contextlib.closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as live,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        live.backup(copy)
        # A single file, which can be moved without its write-ahead log.
        copy.execute("PRAGMA journal_mode = DELETE")
        (result,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise DatabaseUnavailable(f"{source} is damaged ({result}): no backup of it is kept")
