"""A state database that the first version wrote is upgraded with everything in it, after a copy."""

import contextlib
import datetime as dt
import sqlite3

import pytest
from alembic import command
from alembic.config import Config

from backfilld.state.records import AttemptStatus
from backfilld.state.store import attempts, checks, dates
from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable
from backfilld.state.store.schema_version import MIGRATIONS

DATE = dt.date(2021, 10, 26)

ROWS = """
INSERT INTO backfills (id, start, "end", dates, sources, created_at, note)
    VALUES (7, '2021-10-26', '2021-10-26', 1, 'all', 1000.0, 'of the first version');
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
    """The file of a database as the first version left it."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.write() as tx:
        config.attributes["connection"] = tx
        command.upgrade(config, "0001")
    database.close()
    with contextlib.closing(sqlite3.connect(database.path)) as db:
        db.executescript(ROWS)
    return database.path


def test_nothing_of_it_is_lost(path):
    # When it is opened by this version
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    # Then dates, histories, checks and running attempts are what they were, and so are the counts
    with database.read() as tx:
        (date,) = dates.page(tx, start=DATE, end=DATE, limit=10)
        assert (date.state, date.version, date.backfill_id) == ("phase4-step-1", 3, 7)
        assert [move.target for move in dates.history(tx, DATE)] == ["phase2", "phase3", "phase4-step-1"]
        assert checks.for_dates(tx, [DATE])[DATE]["zones"].rows == 30
        (attempt,) = attempts.running(tx)
        assert (attempt.id, attempt.sequence, attempt.status) == (41, "phase4", AttemptStatus.RUNNING)
        counted = tx.exec_driver_sql("SELECT state, n FROM date_counts WHERE n > 0").all()
        assert counted == [("phase4-step-1", 1)]
    database.close()


def test_a_copy_of_before_is_kept_which_the_first_version_can_read(path):
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    database.close()
    (copy,) = path.parent.glob("state.db.before-*")
    assert copy.stat().st_mode & 0o077 == 0
    with contextlib.closing(sqlite3.connect(copy)) as db:
        assert db.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert db.execute("SELECT id, note FROM backfills").fetchall() == [(7, "of the first version")]


def test_an_upgrade_that_fails_in_the_middle_leaves_it_as_it_was(path, monkeypatch):
    # Given a disk that is full in the middle of the upgrade
    database = Database(f"sqlite:///{path}")
    monkeypatch.setattr(database, "backup", lambda target: None)
    with database.read() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    # When it is upgraded
    with pytest.raises(DatabaseUnavailable, match="the disk is full; make room"):
        database.upgrade()
    database.close()
    # Then the next attempt, with room, finds it as it was
    again = Database(f"sqlite:///{path}")
    again.upgrade()
    with again.read() as tx:
        assert [row.id for row in attempts.running(tx)] == [41]
    again.close()
