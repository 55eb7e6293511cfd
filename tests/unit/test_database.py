"""The state database: its migrations, its transactions, and how it refuses."""

import os
import threading

import pytest
import sqlalchemy as sa

from backfilld.state.store.database import Database
from backfilld.state.store.errors import DatabaseUnavailable


@pytest.fixture
def db(state_url):
    database = Database(state_url)
    database.upgrade()
    yield database
    database.close()


def test_the_tallies_follow_every_change(db):
    values = {"date": "2021-10-19", "processor": "p"}
    with db.write() as tx:
        tx.execute(sa.text("INSERT INTO checks (date, processor) VALUES (:date, :processor)"), values)
        tx.execute(sa.text("UPDATE checks SET verdict = 'complete', satisfied = 1"))
    with db.read() as tx:
        counted = tx.execute(sa.text("SELECT verdict, n FROM check_counts WHERE n > 0")).all()
    assert counted == [("complete", 1)]


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
