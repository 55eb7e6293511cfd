"""The migrations, run one after another, make the schema that a new database gets from schema.py."""

import ast
import itertools
import re
import shutil

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from backfilld.state.store.database import Database
from backfilld.state.store.schema_version import MIGRATIONS, _revisions

# The text of such an index is compared as it stands in sqlite_master.
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection of expression-based index")


# Indexes, triggers and their functions, as the database describes them.
NOT_TABLES = {
    "sqlite": ["SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger')"],
    "postgresql": [
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    ],
}


def schema(database):
    """What the database holds, whatever the order of columns and the layout of the SQL it was made with."""
    with database.read() as tx:
        inspector = sa.inspect(tx)
        tables = {name: table(inspector, name) for name in inspector.get_table_names()}
        others = [row for query in NOT_TABLES[tx.dialect.name] for row in tx.execute(sa.text(query))]
        rest = {name: normal(sql) for name, sql in others if sql}
    return tables | rest


def table(inspector, name):
    parts = {
        "columns": inspector.get_columns(name),
        "key": [inspector.get_pk_constraint(name)],
        "references": inspector.get_foreign_keys(name),
        "uniques": inspector.get_unique_constraints(name),
        "checks": inspector.get_check_constraints(name),
    }
    return {what: sorted(map(repr, entries)) for what, entries in parts.items()}


def normal(sql):
    return re.sub(r"\s+", " ", sql.replace('"', ""))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.packages)])
def new_url(request, tmp_path):
    """What makes URLs of databases without anything in them."""
    if request.param == "sqlite":
        numbers = itertools.count()
        return lambda: f"sqlite:///{tmp_path / f'{next(numbers)}.db'}"
    return request.getfixturevalue("postgresql_server").empty


@pytest.fixture
def migrated(new_url, tmp_path):
    database = Database(new_url())
    database.upgrade(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    yield database
    database.close()


@pytest.fixture
def described(new_url):
    database = Database(new_url())
    database.upgrade()
    yield database
    database.close()


def test_all_migrations_make_the_schema_that_the_tables_describe(migrated, described):
    made, wanted = schema(migrated), schema(described)
    assert made.keys() == wanted.keys()
    for name, parts in wanted.items():
        assert made[name] == parts, f"{name}: write a migration, or correct state/store/schema.py"


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE holds ADD COLUMN more INTEGER",
        "DROP INDEX dates_due",
        "DROP TRIGGER checks_recounted",
        "ALTER TABLE calendar_days ADD COLUMN flag INTEGER CHECK (flag IN (0, 1))",
    ],
)
def test_every_kind_of_difference_is_found(migrated, described, change):
    with migrated.write() as tx:
        of_table = " ON checks" if "TRIGGER" in change and not migrated.sqlite else ""
        tx.exec_driver_sql(change + of_table)
    assert schema(migrated) != schema(described)


def test_no_migration_imports_what_will_change():
    for path in (MIGRATIONS / "versions").glob("*.py"):
        imported = {
            getattr(node, "module", None) or node.names[0].name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert imported <= {"alembic", "collections.abc", "sqlalchemy"}, (
            f"{path.name} must state its own schema"
        )


def test_the_newest_version_is_that_of_alembic() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    newest, known = _revisions(MIGRATIONS)
    assert newest == scripts.get_current_head()
    assert known == {script.revision for script in scripts.walk_revisions()}
