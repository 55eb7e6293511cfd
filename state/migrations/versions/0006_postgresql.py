"""In PostgreSQL: figures beyond 2^31, and no recount of a row whose counted columns stay as they are."""

from alembic import op
from sqlalchemy import BigInteger

revision = "0006"
down_revision = "0005"

COUNTED = {
    "dates": "backfill_id, season, state, outcome, waiting",
    "checks": "processor, verdict, satisfied",
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.alter_column("checks", "rows", type_=BigInteger())
    op.alter_column("attempts", "max_rss_bytes", type_=BigInteger())
    for table, columns in COUNTED.items():
        old, new = (", ".join(f"{row}.{name}" for name in columns.split(", ")) for row in ("OLD", "NEW"))
        op.execute(f"DROP TRIGGER {table}_counted ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_counted AFTER INSERT OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {table}_count()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_recounted AFTER UPDATE OF {columns} ON {table} FOR EACH ROW"
            f" WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION {table}_count()"
        )
