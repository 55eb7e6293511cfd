"""The first schema."""

from alembic import op

from state.store.triggers import statements
from state.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    bind = op.get_bind()
    metadata.create_all(bind)
    for statement in statements(bind.dialect.name):
        op.execute(statement)
