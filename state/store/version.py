"""Which schema a state database has and which one this program wants, found without changing anything."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from state.store.database import MIGRATIONS, Database, DatabaseUnusable


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """Two versions; `current` is None for an empty database."""

    current: str | None
    newest: str
    known: bool
    """Whether this program knows the current one, and can therefore bring it to the newest."""


def schema_version(database: Database) -> SchemaVersion:
    """The versions, once a transaction for writing was opened and closed again.

    Raises:
        DatabaseUnusable: the database cannot be opened or written.
    """
    scripts = ScriptDirectory(str(MIGRATIONS))
    known = {script.revision for script in scripts.walk_revisions()}
    try:
        with database.write() as tx:
            current = MigrationContext.configure(tx).get_current_revision()
    except (DBAPIError, sqlite3.DatabaseError, OSError) as error:
        text = str(getattr(error, "orig", None) or error)
        raise DatabaseUnusable(f"{database.url.render_as_string()} cannot be used: {text}") from error
    newest = scripts.get_current_head() or ""
    return SchemaVersion(current=current, newest=newest, known=current is None or current in known)
