"""What keeps the database from being used is told in plain words, with whoever is in the way."""

import contextlib
import dataclasses
import datetime as dt
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
import sqlalchemy as sa

from backfilld.daemon.backups import Backups
from backfilld.daemon.settings import SettingsError, settings
from backfilld.state.store import schema
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable
from backfilld.state.store.leader_election import FILE, AlreadyRunning, FileLock, Holder

LOCKER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
"""
NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC).timestamp()
DAY = 86_400.0


@pytest.fixture
def db(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'state.db'}", lock_wait=0.2)
    database.upgrade()
    yield database
    database.close()


def test_a_lock_is_told_with_the_process_that_holds_it(db):
    words = [sys.executable, "-c", LOCKER, str(db.path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as locker:
        assert locker.stdout.readline() == b"locked\n"
        with pytest.raises(DatabaseUnavailable, match=f"locked it: pid {locker.pid}; work waits"), db.write():
            pass
        with db.read() as tx:
            assert tx.execute(sa.text("SELECT count(*) FROM dates")).scalar_one() == 0
        locker.communicate()
    with db.write():
        pass


def test_writers_of_one_daemon_wait_for_each_other_rather_than_meet_a_lock(db):
    met = []

    def write():
        try:
            with db.write() as tx:
                tx.exec_driver_sql("INSERT INTO calendar_days (date, asked_at) VALUES ('2021-10-19', 0)")
        except DatabaseUnavailable as error:
            met.append(str(error))

    second = threading.Thread(target=write)
    # Given SQLite would wait for a lock no longer than 0.2 s
    with db.write():
        # When another writer comes while one is at work for longer
        second.start()
        second.join(0.5)
    # Then it writes once the first has ended
    second.join()
    with db.read() as tx:
        assert tx.exec_driver_sql("SELECT date FROM calendar_days").scalar_one() == "2021-10-19"
    assert met == []


def test_a_full_disk_undoes_the_whole_transaction(db):
    with db.write() as tx:
        tx.exec_driver_sql("CREATE TABLE ballast (b BLOB)")
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def too_much():
        with db.write() as tx:
            tx.exec_driver_sql("INSERT INTO calendar_days (date, asked_at) VALUES ('2021-10-19', 0)")
            tx.exec_driver_sql("INSERT INTO ballast VALUES (zeroblob(1000000))")

    with pytest.raises(DatabaseUnavailable, match="the disk is full; make room"):
        too_much()
    with db.read() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM calendar_days").scalar_one() == 0


def test_an_error_of_a_statement_is_not_taken_for_one_of_the_database(db):
    with pytest.raises(sa.exc.IntegrityError), db.write() as tx:
        tx.exec_driver_sql(
            "INSERT INTO calendar_days (date, asked_at) VALUES ('2021-10-19', 0), ('2021-10-19', 0)"
        )
    with pytest.raises(sa.exc.OperationalError, match="syntax error"), db.read() as tx:
        tx.exec_driver_sql("SELECT date calendar_days FROM WHERE")


@pytest.mark.parametrize("damage", ["DROP TABLE holds", "ALTER TABLE holds RENAME COLUMN reason TO reasom"])
def test_a_schema_that_is_damaged_while_the_daemon_serves_is_reported_with_the_remedy(db, damage):
    with contextlib.closing(sqlite3.connect(db.path)) as other, other:
        other.execute(damage)
    with pytest.raises(DatabaseUnavailable, match="damaged; stop the daemon and restore"), db.read() as tx:
        tx.execute(sa.select(schema.holds.c.reason)).all()


def test_a_damaged_database_pushes_no_good_backup_out(db):
    backups = Backups(db, now=lambda: NOON)
    good = backups.create().read_bytes()
    db.close()
    with db.path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(DatabaseUnavailable, match="damaged"):
        backups.create()
    assert (backups.folder / "state-20261101T120000Z.db").read_bytes() == good
    assert [path.name for path in backups.folder.iterdir()] == ["state-20261101T120000Z.db"]


def test_a_backup_never_takes_the_place_of_the_database(db):
    with pytest.raises(SettingsError, match="is the database itself"):
        Backups(db, now=lambda: NOON).create(db.path)


def test_backups_come_at_their_pace_and_the_oldest_go(db):
    now = NOON
    backups = Backups(db, now=lambda: now)
    assert backups.is_due(DAY)
    for _ in range(4):
        backups.create()
        assert not backups.is_due(DAY)
        now += DAY
        assert backups.is_due(DAY)
    assert [path.name for path in backups.prune(2)] == [
        "state-20261101T120000Z.db",
        "state-20261102T120000Z.db",
    ]
    assert backups.latest_at == NOON + 3 * DAY


def test_a_backup_that_does_not_fit_is_not_begun(db, monkeypatch):
    # Given a disk with one byte less than the database and its log have
    size = sum(db.path.with_name(f"state.db{suffix}").stat().st_size for suffix in ("", "-wal"))
    full = shutil.disk_usage(db.path.parent)._replace(free=size - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    backups = Backups(db, now=lambda: NOON)
    # Then nothing is written
    with pytest.raises(
        DatabaseUnavailable, match=r"takes 0\.\d MB, and its disk has 0\.\d MB left; make room"
    ):
        backups.create()
    # And a byte more is enough
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full._replace(free=size))
    assert backups.create().exists()


def test_copies_that_were_never_whole_go_once_nobody_can_be_writing_them(db):
    backups = Backups(db, now=time.time)
    backups.folder.mkdir()
    names = (".state-1Z.db.partial", ".state-1Z.db.partial-journal", ".state-2Z.db.partial")
    *dead, living = (backups.folder / name for name in names)
    living.touch()
    for path in dead:
        path.touch()
        os.utime(path, (NOON - DAY, NOON - DAY))
    whole = backups.create()
    assert set(backups.folder.iterdir()) == {living, whole}


def test_backups_go_on_when_the_clock_is_set_back_and_new_ones_are_kept(db):
    now = NOON
    backups = Backups(db, now=lambda: now)
    for _ in range(3):
        backups.create()
        now += DAY
    # When the clock is set back by a month, whatever was made after that is from the future
    now = NOON - 30 * DAY
    assert backups.is_due(DAY)
    new = backups.create()
    assert not backups.is_due(DAY)
    backups.prune(2)
    assert new.exists()


def test_a_holder_that_is_suspended_on_this_host_is_said_to_be(tmp_path):
    with subprocess.Popen(["sleep", "600"]) as process:
        me = Holder.me(since=NOON, listen="127.0.0.1:8484")
        sleeper = dataclasses.replace(me, pid=process.pid)
        for holder, suspended in (
            (sleeper, True),
            (dataclasses.replace(sleeper, host="far"), False),
            (me, False),
        ):
            lock = FileLock(tmp_path / FILE, holder)
            assert lock.acquire() == ""
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            with pytest.raises(AlreadyRunning, match=f"pid {holder.pid} on {holder.host}") as refused:
                FileLock(tmp_path / FILE, me).acquire()
            lock.release()
            assert (f"ends only after `kill -CONT {process.pid}`" in str(refused.value)) is suspended
        process.kill()


def test_who_holds_the_lock_is_told_even_if_he_has_not_said_so(db):
    path, me = db.path.with_name(FILE), Holder.me(since=NOON, listen="x")
    first = FileLock(path, Holder(pid=4711, host="night", since=NOON, listen="127.0.0.1:8484"))
    first.acquire()
    with pytest.raises(
        AlreadyRunning, match=r"pid 4711 on night, since 2026-11-01 12:00:00 UTC, at http://127.0.0.1:8484"
    ):
        FileLock(path, me).acquire()
    path.write_text("nonsense")
    with pytest.raises(AlreadyRunning, match=r"unknown, see `fuser .*daemon.lock`"):
        FileLock(path, me).acquire()
    first.release()
    again = FileLock(path, me)
    again.acquire()
    again.release()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"backup_every": "daily"}, "--backup-every: 'daily' is not a duration; write it like"),
        ({"backup_keep": "0"}, "--backup-keep '0' is not a number of backups, at least 1"),
    ],
)
def test_a_wrong_pace_of_backups_is_told(given, told):
    with pytest.raises(SettingsError, match=told):
        settings(pipeline="p.toml", state_dir="s", environment={}, **given)
    chosen = settings(pipeline="p.toml", state_dir="s", environment={"BACKFILLD_BACKUP_EVERY": "0"})
    assert (chosen.backup_every, chosen.backup_keep) == (0.0, 7)


def test_a_backup_can_be_read_without_its_log_beside_it(db, tmp_path):
    with db.write() as tx:
        tx.exec_driver_sql("INSERT INTO calendar_days (date, asked_at) VALUES ('2021-10-19', 0)")
    copy = Backups(db, now=lambda: NOON).create(tmp_path / "elsewhere.db")
    with contextlib.closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as read:
        assert read.execute("SELECT date FROM calendar_days").fetchall() == [("2021-10-19",)]
        assert read.execute("PRAGMA journal_mode").fetchone() == ("delete",)
