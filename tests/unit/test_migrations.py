"""The migrations, run one after another, make the schema that state/tables.py and its triggers describe."""

import ast
import re

import pytest
import sqlalchemy as sa

from state.store.database import MIGRATIONS, Database
from state.store.triggers import statements
from state.tables import metadata

# The text of such an index is compared as it stands in sqlite_master.
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")


def schema(database):
    """What the database holds, whatever the order of columns and the layout of the SQL it was made with."""
    with database.read() as tx:
        inspector = sa.inspect(tx)
        tables = {name: table(inspector, name) for name in inspector.get_table_names()}
        master = tx.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger')"))
        rest = {name: normal(sql) for name, sql in master if sql}
    tables.pop("alembic_version", None)
    return tables | rest


def table(inspector, name):
    told = {
        "columns": inspector.get_columns(name),
        "key": [inspector.get_pk_constraint(name)],
        "references": inspector.get_foreign_keys(name),
        "uniques": inspector.get_unique_constraints(name),
        "checks": inspector.get_check_constraints(name),
    }
    return {what: sorted(map(repr, entries)) for what, entries in told.items()}


def normal(sql):
    return re.sub(r"\s+", " ", sql.replace('"', ""))


@pytest.fixture
def migrated(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'migrated.db'}")
    database.upgrade()
    yield database
    database.close()


@pytest.fixture
def described(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'described.db'}")
    with database.write() as tx:
        metadata.create_all(tx)
        for statement in statements("sqlite"):
            tx.exec_driver_sql(statement)
    yield database
    database.close()


def test_all_migrations_make_the_schema_that_the_tables_describe(migrated, described):
    made, wanted = schema(migrated), schema(described)
    assert made.keys() == wanted.keys()
    for name, told in wanted.items():
        assert made[name] == told, f"{name}: write a migration, or mend state/tables.py"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE holds ADD COLUMN more INTEGER",
        "DROP INDEX dates_due",
        "DROP TRIGGER checks_recounted",
        "ALTER TABLE days ADD COLUMN flag INTEGER CHECK (flag IN (0, 1))",
    ],
)
def test_every_kind_of_difference_is_found(migrated, described, change):
    with migrated.write() as tx:
        tx.exec_driver_sql(change)
    assert schema(migrated) != schema(described)


def test_no_migration_imports_what_will_change():
    for path in (MIGRATIONS / "versions").glob("*.py"):
        imported = {
            getattr(node, "module", None) or node.names[0].name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert imported <= {"alembic", "sqlalchemy"}, f"{path.name} must state its own schema"
