"""A real PostgreSQL server of Debian's package, in a scratch directory, on a Unix socket alone."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from backfilld.state.store.database import Database
from tests.timeouts import PATIENCE

_USER = "postgres"
_TEMPLATE = "migrated"
# Speed instead of safety, unless a test is about just that.
_HASTY = ("fsync=off", "autovacuum=off", "synchronous_commit=off", "full_page_writes=off")
_ALWAYS = ("listen_addresses=", "max_connections=60", "shared_buffers=16MB", "lc_messages=C")


def chosen() -> bool:
    """Whether BACKFILLD_TESTS_ON=postgresql asks for PostgreSQL where a test can use either database."""
    return os.environ.get("BACKFILLD_TESTS_ON") == "postgresql"


class Server:
    """One server with a database for each who asks. As root, another user runs it."""

    def __init__(self, folder: Path, *, durable: bool) -> None:
        self._durable = durable
        versions = Path("/usr/lib/postgresql").glob("*/bin")
        self._programs = max(versions, key=lambda path: int(path.parent.name))
        self._folder = folder
        self._data = folder / "data"
        self._numbers = itertools.count()
        if os.getuid() == 0:
            shutil.chown(folder, _USER)
        self._run("initdb", "--username", _USER, "--auth", "trust", "--no-sync", "-D", str(self._data))

    def start(self) -> None:
        """Start it and wait until it answers."""
        hasty = () if self._durable else _HASTY
        settings = [*_ALWAYS, f"unix_socket_directories={self._folder}", *hasty]
        words = " ".join(f"-c {setting}" for setting in settings)
        log = str(self._folder / "log")
        self._run(
            "pg_ctl", "start", "-w", "-t", f"{PATIENCE:.0f}", "-D", str(self._data), "-l", log, "-o", words
        )

    def stop(self, how: str = "immediate") -> None:
        """End it: `immediate` as in a crash, `fast` in order, with all sessions cut off."""
        self._run("pg_ctl", "stop", "-w", "-t", f"{PATIENCE:.0f}", "-m", how, "-D", str(self._data))

    def log(self) -> str:
        """What the server has logged so far."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def url(self, name: str, user: str = _USER) -> str:
        """The URL of a database."""
        return f"postgresql://{user}@/{name}?host={self._folder}"

    def empty(self) -> str:
        """The URL of a new database without anything in it."""
        return self._new("template0")

    def migrated(self) -> str:
        """The URL of a new state database of the newest schema: copying one is quicker than to make it."""
        if not self.ask("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{_TEMPLATE}'"):
            self.ask("postgres", f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
            made = Database(self.url(_TEMPLATE))
            made.upgrade()
            made.close()
        return self._new(_TEMPLATE)

    def ask(self, name: str, statement: str) -> list[tuple[object, ...]]:
        """Run a statement in a database, as its superuser."""
        with psycopg.connect(self.url(name), autocommit=True) as connection:
            found = connection.execute(sql.SQL(statement))  # type: ignore[arg-type]
            return found.fetchall() if found.description else []

    def _new(self, template: str) -> str:
        name = f"state{next(self._numbers)}"
        self.ask("postgres", f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return self.url(name)

    def _run(self, program: str, *words: str) -> None:
        command = [str(self._programs / program), *words]
        if os.getuid() == 0:
            command = ["runuser", "-u", _USER, "--", *command]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{program}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@contextmanager
def running(*, durable: bool = False) -> Iterator[Server]:
    """A server, while it is needed: in a directory that another user may reach, by a path short enough."""
    with tempfile.TemporaryDirectory(prefix="backfilld-pg-") as folder:
        server = Server(Path(folder), durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
