"""Marks of ended dates: no longer complete, or computed before an earlier date was repaired."""

from alembic import op
from sqlalchemy import CheckConstraint, Column, Date, Double, Integer, TextClause, text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("dates", Column("swept_at", Double))
    op.add_column("dates", Column("stale_by", Date))
    op.add_column("dates", Column("stale_at", Double))
    flag = CheckConstraint("cascades IN (0, 1)")
    op.add_column("dates", Column("cascades", Integer, flag, nullable=False, server_default="0"))
    _index("dates_seen", text("coalesce(swept_at, ended_at)"), "outcome IN ('complete', 'bootstrap', 'accepted')")
    _index("dates_stale", "date", "stale_at IS NOT NULL")


def _index(name: str, column: str | TextClause, where: str) -> None:
    op.create_index(name, "dates", [column], sqlite_where=text(where), postgresql_where=text(where))
