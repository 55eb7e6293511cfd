"""By which pipeline file all dates were last looked at."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table("followed", Column("fingerprint", Text, primary_key=True))
