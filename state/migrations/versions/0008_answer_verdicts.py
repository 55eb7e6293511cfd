"""What proved the answer to a requested date, so that the same request gets the same answer again."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("backfill_dates", Column("verdicts", Text, nullable=False, server_default=""))
