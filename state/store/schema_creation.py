"""Creates the newest schema in an empty database. Migrations are for databases that already have one."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert
from sqlalchemy.schema import CreateIndex, CreateTable

from backfilld.state.store import counter_triggers
from backfilld.state.store.schema import metadata

_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32)),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As alembic makes it, which reads it before a later upgrade."""


def create_schema(tx: Connection, version: str) -> None:
    """Create all tables, indexes and triggers, and record the version: alembic need not be imported."""
    for table in metadata.sorted_tables:
        tx.execute(CreateTable(table))
        # The indexes of a table are a set: in a fixed order, each new database has the same layout.
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            tx.execute(CreateIndex(index))
    for statement in counter_triggers.statements(tx.dialect.name):
        tx.exec_driver_sql(statement)
    _VERSION.create(tx)
    tx.execute(insert(_VERSION), {"version_num": version})
