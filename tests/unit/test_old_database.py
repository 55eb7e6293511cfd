"""An upgrade keeps all state, after a copy; a database of the first edition is refused."""

import contextlib
import datetime as dt
import shutil
import sqlite3

import pytest

from backfilld.state.records import AttemptStatus
from backfilld.state.store import attempts, checks, dates, transitions
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable
from backfilld.state.store.schema_version import MIGRATIONS, schema_version

DATE = dt.date(2021, 10, 26)
BASELINE = "v2_0001"

LATER_MIGRATION = """
from alembic import op

revision = "v2_9999"
down_revision = "v2_0002"


def upgrade():
    op.execute("ALTER TABLE holds ADD COLUMN ticket TEXT NOT NULL DEFAULT ''")
    for number in range(20):
        op.execute(f"CREATE TABLE later_{number} (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
"""

ROWS = """
INSERT INTO backfills (id, start, "end", dates, sources, created_at, note)
    VALUES (7, '2021-10-26', '2021-10-26', 1, 'all', 1000.0, 'of the baseline');
INSERT INTO dates (date, state, waiting, backfill_id, season, entered_at, version)
    VALUES ('2021-10-26', 'phase4-step-1', 'attempt', 7, '2021-22', 1000.0, 3);
INSERT INTO transitions (date, version, source, target, trigger, at) VALUES
    ('2021-10-26', 1, 'pending', 'phase2', 'admit', 1000.0),
    ('2021-10-26', 2, 'phase2', 'phase3', 'advance', 1001.0),
    ('2021-10-26', 3, 'phase3', 'phase4-step-1', 'advance', 1002.0);
INSERT INTO checks (date, processor, verdict, satisfied, rows)
    VALUES ('2021-10-26', 'zones', 'complete', 1, 30);
INSERT INTO attempts
    (id, date, processor, phase, backfill_id, executor, output, writer, sequence, status, claimed_at,
    started_at)
    VALUES
    (41, '2021-10-26', 'cache', 'phase4', 7, 'local', 'nba.cache', 0, 'phase4', 'running', 1002.0, 1002.0);
INSERT INTO attempt_dates (date, attempt_id) VALUES ('2021-10-26', 41);
"""


@pytest.fixture
def path(tmp_path):
    """The file of a database that a program with the baseline schema left."""
    baseline = tmp_path / "baseline"
    shutil.copytree(MIGRATIONS, baseline)
    for later in (baseline / "versions").glob("*.py"):
        if f'\nrevision = "{BASELINE}"' not in later.read_text():
            later.unlink()
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    database.upgrade(baseline)
    database.close()
    with contextlib.closing(sqlite3.connect(database.path)) as db:
        db.executescript(ROWS)
    return database.path


@pytest.fixture
def migrations(tmp_path):
    """The migrations of a later program: one more than today's."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder)
    (folder / "versions" / "v2_9999_later.py").write_text(LATER_MIGRATION)
    return folder


def upgrade(path):
    with contextlib.closing(Database(f"sqlite:///{path}")) as database:
        database.upgrade()


def version(path):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT version_num FROM alembic_version").fetchall()


def test_a_database_of_each_earlier_version_is_intact_after_its_upgrade(path):
    with contextlib.closing(Database(f"sqlite:///{path}")) as database:
        database.open()
        database.verify()
        with database.read() as tx:
            assert not schema_version(tx).problem
            assert checks.for_dates(tx, [DATE])[DATE]["zones"].rows == 30


def test_an_upgrade_loses_nothing(path, migrations):
    # When a later program opens the database
    database = Database(f"sqlite:///{path}")
    database.upgrade(migrations)
    # Then its schema is the newest
    with database.read() as tx:
        assert schema_version(tx, migrations).current == "v2_9999"
        assert tx.exec_driver_sql("SELECT count(ticket) FROM holds").scalar_one() == 0
        # And dates, histories, checks, running attempts and counts are unchanged
        (date,) = dates.page(tx, start=DATE, end=DATE, limit=10)
        assert (date.state, date.version, date.backfill_id) == ("phase4-step-1", 3, 7)
        assert [move.target for move in transitions.history(tx, DATE)] == [
            "phase2",
            "phase3",
            "phase4-step-1",
        ]
        assert checks.for_dates(tx, [DATE])[DATE]["zones"].rows == 30
        (attempt,) = attempts.running(tx)
        assert (attempt.id, attempt.sequence, attempt.status) == (41, "phase4", AttemptStatus.RUNNING)
        counts = tx.exec_driver_sql("SELECT state, n FROM date_counts WHERE n > 0").all()
        assert counts == [("phase4-step-1", 1)]
    database.close()


def test_a_copy_from_before_the_upgrade_is_kept_which_the_earlier_program_can_read(path, migrations):
    database = Database(f"sqlite:///{path}")
    database.upgrade(migrations)
    database.close()
    (copy,) = path.parent.glob("state.db.before-*")
    assert copy.name == "state.db.before-v2_9999"
    assert copy.stat().st_mode & 0o077 == 0
    assert version(copy) == [(BASELINE,)]
    with contextlib.closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT id, note FROM backfills").fetchall() == [(7, "of the baseline")]


def test_an_upgrade_that_fails_in_the_middle_changes_nothing(path, migrations, monkeypatch):
    # Given a disk that fills up in the middle of the upgrade
    database = Database(f"sqlite:///{path}")
    monkeypatch.setattr(database, "backup", lambda target: None)
    with database.read() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    # When it is upgraded
    with pytest.raises(DatabaseUnavailable, match="the disk is full; make room"):
        database.upgrade(migrations)
    database.close()
    # Then the schema and the rows are as before
    assert version(path) == [(BASELINE,)]
    with contextlib.closing(sqlite3.connect(path)) as db:
        columns = [column[1] for column in db.execute("PRAGMA table_info(holds)")]
        assert "ticket" not in columns
    # And the next upgrade, with room, succeeds
    again = Database(f"sqlite:///{path}")
    again.upgrade(migrations)
    with again.read() as tx:
        assert [row.id for row in attempts.running(tx)] == [41]
    again.close()


def test_a_later_schema_is_refused_by_an_earlier_program(path, migrations):
    later = Database(f"sqlite:///{path}")
    later.upgrade(migrations)
    later.close()
    with pytest.raises(
        DatabaseUnavailable, match="schema version v2_9999, which this backfilld does not know"
    ):
        upgrade(path)


FIRST_EDITION = {
    "schema version 0001": "INSERT INTO alembic_version VALUES ('0001')",
    "schema version 0009": "INSERT INTO alembic_version VALUES ('0009')",
    "schema version None": "CREATE TABLE date_tallies (n INTEGER)",
}


@pytest.mark.parametrize(("named", "statement"), FIRST_EDITION.items())
def test_a_database_of_the_first_edition_is_refused_and_left_as_it_is(tmp_path, named, statement):
    path = tmp_path / "state.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        db.execute(statement)
        db.commit()
    before = path.read_bytes()
    with pytest.raises(DatabaseUnavailable) as refusal:
        upgrade(path)
    assert named in str(refusal.value)
    assert str(refusal.value).endswith("start with a new --state-dir: the old one is left as it is")
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.before-*"))


def test_a_postgresql_database_of_the_first_edition_is_refused(postgresql_server):
    database = Database(postgresql_server.empty())
    with database.write() as tx:
        tx.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        tx.exec_driver_sql("INSERT INTO alembic_version VALUES ('0009')")
    with pytest.raises(DatabaseUnavailable, match=r"first edition of backfilld .schema version 0009."):
        database.upgrade()
    with database.read() as tx:
        assert not schema_version(tx).known
    database.close()
