"""The audit of changes."""

from alembic import op
from sqlalchemy import Column, Double, Integer, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "audit",
        Column("id", Integer, primary_key=True),
        Column("at", Double, nullable=False),
        Column("actor", Text, nullable=False),
        Column("address", Text, nullable=False, server_default=""),
        Column("request_id", Text, nullable=False, server_default=""),
        Column("action", Text, nullable=False),
        Column("target", Text, nullable=False),
        Column("before", Text),
        Column("after", Text),
        sqlite_autoincrement=True,
    )
