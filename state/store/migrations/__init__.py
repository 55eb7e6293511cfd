"""Schema migrations, run by alembic when the daemon starts."""
