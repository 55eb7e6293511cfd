"""The schema version of a state database, and whether this program can use or upgrade it. Read-only."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table

MIGRATIONS = Path(__file__).parent / "migrations"
_FIRST_EDITION = frozenset(f"{number:04}" for number in range(1, 10))
_TABLE_OF_FIRST_EDITION = "date_tallies"
_VERSIONS = table("alembic_version", column("version_num"))
_REVISION = re.compile(r'^revision = "(\w+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """The version of a database and the newest one; `current` is None for an empty database."""

    current: str | None
    newest: str
    known: bool
    """Whether this program can use the database, after an upgrade to the newest version if needed."""
    first_edition: bool = False
    """Whether a backfilld of the first edition wrote it, whose databases are not upgraded."""

    @property
    def problem(self) -> str:
        """Why this program cannot use the database, with the remedy; empty if it can."""
        if self.first_edition:
            return (
                f"the state database was written by the first edition of backfilld"
                f" (schema version {self.current}), which is not upgraded;"
                " start with a new --state-dir: the old one is left as it is"
            )
        if not self.known:
            return (
                f"the state database has schema version {self.current}, which this backfilld does not know;"
                " it was written by a newer one: install that, or restore a backup"
            )
        return ""


def schema_version(tx: Connection, migrations: Path = MIGRATIONS) -> SchemaVersion:
    """The versions, as a transaction sees them."""
    newest, revisions = _revisions(migrations)
    current = current_revision(tx)
    first_edition = current in _FIRST_EDITION or inspect(tx).has_table(_TABLE_OF_FIRST_EDITION)
    return SchemaVersion(
        current=current,
        newest=newest,
        known=not first_edition and (current is None or current in revisions),
        first_edition=first_edition,
    )


def current_revision(tx: Connection) -> str | None:
    """The version of a database; None without a schema. More than one, which is damage, are listed."""
    if not inspect(tx).has_table(_VERSIONS.name):
        return None
    return ", ".join(sorted(map(str, tx.execute(select(_VERSIONS.c.version_num)).scalars()))) or None


@functools.cache
def _revisions(migrations: Path) -> tuple[str, frozenset[str]]:
    """The newest revision of a folder, and all of them.

    They are read from the files: to import alembic takes a fifth of the time that a verb needs to start.
    """
    files = sorted((migrations / "versions").glob("*.py"))
    found = [name for file in files for name in _REVISION.findall(file.read_text(encoding="utf-8"))]
    return found[-1], frozenset(found)
