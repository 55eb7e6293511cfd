"""Which schema a state database has and which one this program wants, found without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaVersion:
    """Two versions; `current` is None for an empty database."""

    current: str | None
    newest: str
    known: bool
    """Whether this program knows the current one, and can therefore bring it to the newest."""


def schema_version(tx: Connection) -> SchemaVersion:
    """The versions, as a transaction sees them."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    known = {script.revision for script in scripts.walk_revisions()}
    current = MigrationContext.configure(tx).get_current_revision()
    newest = scripts.get_current_head() or ""
    return SchemaVersion(current=current, newest=newest, known=current is None or current in known)
