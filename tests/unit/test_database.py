"""The state database: its migrations, its transactions, and how it refuses."""

import datetime as dt
import os
import threading

import pytest
import sqlalchemy as sa

from backfilld.state.store import schema
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable

DAY = dt.date(2021, 10, 19)


@pytest.fixture
def db(state_url):
    database = Database(state_url)
    database.upgrade()
    yield database
    database.close()


def counted_checks(db):
    with db.read() as tx:
        counts = tx.execute(sa.text("SELECT verdict, SUM(n) FROM check_counts GROUP BY verdict")).all()
    return {verdict: n for verdict, n in counts if n}


def test_the_tallies_follow_every_change_of_requested_dates(db):
    backfill = {"id": 1, "start": DAY, "end": DAY, "dates": 1, "sources": "all", "created_at": 0}
    requested = {"date": DAY, "state": "pending", "backfill_id": 1, "entered_at": 0}
    # Given checks of two dates, which no backfill has requested
    with db.write() as tx:
        for date in (DAY, DAY + dt.timedelta(days=1)):
            for name in ("p", "q"):
                tx.execute(sa.insert(schema.checks), {"date": date, "processor": name})
    assert counted_checks(db) == {}
    # When one of the dates is requested, then its checks count
    with db.write() as tx:
        tx.execute(sa.insert(schema.backfills), backfill)
        tx.execute(sa.insert(schema.dates), requested)
    assert counted_checks(db) == {"unknown": 2}
    # And so do changes of them, later checks, and deletions
    with db.write() as tx:
        tx.execute(sa.update(schema.checks), {"verdict": "complete", "satisfied": 1})
        tx.execute(sa.insert(schema.checks), {"date": DAY, "processor": "r", "verdict": "complete"})
    assert counted_checks(db) == {"complete": 3}
    with db.write() as tx:
        tx.execute(sa.delete(schema.checks))
    assert counted_checks(db) == {}


def test_no_update_is_lost_between_threads(db):
    table = sa.text("UPDATE holds SET until = :n WHERE kind = 'all'")
    with db.write() as tx:
        tx.execute(sa.text("INSERT INTO holds (kind, key, since, until) VALUES ('all', '', 0, 0)"))

    def count():
        for _ in range(25):
            with db.write() as tx:
                n = tx.execute(sa.text("SELECT until FROM holds")).scalar_one()
                tx.execute(table, {"n": n + 1})

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as tx:
        assert tx.execute(sa.text("SELECT until FROM holds")).scalar_one() == 200


def test_a_newer_schema_is_refused_with_the_remedy(db):
    with db.write() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseUnavailable, match="schema version 9999"):
        db.upgrade()


def test_an_older_schema_is_copied_before_it_is_upgraded(tmp_path, monkeypatch):
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    database.upgrade()
    copy = tmp_path / "copy.db"
    database.backup(copy)
    assert os.stat(copy).st_mode & 0o077 == 0
    restored = Database(f"sqlite:///{copy}")
    restored.upgrade()
    restored.close()
    database.close()


def test_a_file_that_is_no_database_is_told_with_the_remedy(tmp_path):
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(DatabaseUnavailable, match="damaged"):
        Database(f"sqlite:///{path}").upgrade()


def test_each_new_database_has_the_same_layout(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    database.upgrade()
    query = "SELECT tbl_name, name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY rowid"
    with database.read() as tx:
        made = tx.exec_driver_sql(query).all()
    database.close()
    for table in {table for table, _ in made}:
        names = [name for of, name in made if of == table]
        assert names == sorted(names)
