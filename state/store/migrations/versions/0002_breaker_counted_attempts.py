"""Whether the circuit breaker counts an attempt, and whether it has done so."""

from alembic import op

revision = "v2_0002"
down_revision = "v2_0001"

_FLAGS = (("checks", "last_attempt_counts"), ("attempt_dates", "breaker_counted"))


def upgrade() -> None:
    """Add the flags; earlier attempts have been counted, or count no more."""
    for table, flag in _FLAGS:
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN {flag} INTEGER DEFAULT '0' NOT NULL CHECK ({flag} IN (0, 1))"
        )
