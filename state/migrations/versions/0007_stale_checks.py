"""Which outputs of a stale date are stale: where one sequential phase follows another, not all of them."""

from alembic import op
from sqlalchemy import Column, Double

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("checks", Column("stale_at", Double))
    marked = "(SELECT stale_at FROM dates WHERE dates.date = checks.date)"
    op.execute(f"UPDATE checks SET stale_at = {marked} WHERE {marked} IS NOT NULL")
