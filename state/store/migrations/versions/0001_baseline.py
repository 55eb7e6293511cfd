"""The schema of the first release."""

from alembic import op

from backfilld.state.store.schema import metadata
from backfilld.state.store.triggers import statements

revision = "0001"
down_revision = None


def upgrade() -> None:
    bind = op.get_bind()
    metadata.create_all(bind)
    for statement in statements(bind.dialect.name):
        op.execute(statement)
