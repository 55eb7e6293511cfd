"""What was told to people, and an index of the dates that regressed."""

from alembic import op
from sqlalchemy import Column, Double, Text, text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "notices",
        Column("subject", Text, primary_key=True),
        Column("what", Text, primary_key=True),
        Column("at", Double, nullable=False),
    )
    regressed = text("regressed <> ''")
    op.create_index("dates_regressed", "dates", ["date"], sqlite_where=regressed, postgresql_where=regressed)
