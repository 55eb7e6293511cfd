"""What was used of each daily budget."""

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "budgets",
        Column("kind", Text, CheckConstraint("kind IN ('table', 'warehouse')"), primary_key=True),
        Column("key", Text, primary_key=True),
        Column("day", Date, primary_key=True),
        Column("spent", BigInteger, nullable=False, server_default="0"),
        Column("extra", BigInteger, nullable=False, server_default="0"),
    )
