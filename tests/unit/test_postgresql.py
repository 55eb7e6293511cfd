"""PostgreSQL as the state database: its faults in plain words, and the one daemon that leads."""

import contextlib
import itertools
import threading
import time

import psycopg
import pytest
import sqlalchemy as sa

from backfilld.daemon.backups import Backups, refuse_empty_database
from backfilld.daemon.settings import SettingsError, settings
from backfilld.state.store import holds, leader_election
from backfilld.state.store.database import Database
from backfilld.state.store.database_errors import DatabaseUnavailable, NotLeader, translate
from backfilld.state.store.leader_election import Holder, TransactionPooler, open_lock
from backfilld.state.store.postgresql import WRITER
from tests import postgresql
from tests.timeouts import PATIENCE

HOLDS = sa.text("INSERT INTO holds (kind, key, since) VALUES ('all', :key, 0)")


def write(db, key, *, fenced=True):
    with db.write(fenced=fenced) as tx:
        tx.execute(HOLDS, {"key": key})


def keys(db):
    with db.read() as tx:
        return set(tx.execute(sa.text("SELECT key FROM holds")).scalars())


@pytest.fixture
def server(postgresql_server):
    return postgresql_server


@pytest.fixture
def url(server):
    return server.migrated()


@pytest.fixture
def db(url):
    with contextlib.closing(Database(url, lock_wait=0.2)) as database:
        yield database


class Daemon:
    """A database that is fenced by a lock, as each daemon has them."""

    def __init__(self, url, host):
        self.db = Database(url)
        self.lock = open_lock(self.db, Holder(pid=4711, host=host, since=0.0, listen="x"))
        self.db.fence(self.lock.check)

    def close(self):
        self.lock.release()
        self.db.close()


@pytest.fixture
def two(url):
    """Two daemons, of which the first leads."""
    with contextlib.closing(Daemon(url, "night")) as one, contextlib.closing(Daemon(url, "day")) as other:
        assert one.lock.acquire() == ""
        yield one, other


def cut_off(server, url, host):
    """End a daemon's session at the server, as a network that fails does."""
    name = sa.make_url(url).database
    ended = server.ask(
        name,
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
        f" WHERE datname = '{name}' AND application_name LIKE '{host}:%'",
    )
    assert ended == [(True,)]


def test_the_second_daemon_is_told_who_leads_and_cannot_write(two):
    one, other = two
    assert other.lock.acquire().startswith("leader is night:4711 since 20")
    assert not other.lock.held()
    assert one.lock.held()
    write(one.db, "leader")
    with pytest.raises(NotLeader, match="is a standby; send changes to the leader, night:4711 since"):
        write(other.db, "standby")
    write(other.db, "what holds whoever leads", fenced=False)
    assert keys(other.db) == {"leader", "what holds whoever leads"}


def test_a_leader_that_lost_its_session_cannot_write_although_it_does_not_know_yet(two, server, url):
    one, other = two
    cut_off(server, url, "night")
    with pytest.raises(NotLeader, match="not known yet"):
        write(one.db, "between")
    assert other.lock.acquire() == ""
    with pytest.raises(NotLeader, match="the leader, day:4711"):
        write(one.db, "late")
    assert not one.lock.held()
    assert one.lock.acquire().startswith("leader is day:4711")
    assert keys(one.db) == set()


def test_a_leader_that_does_not_run_loses_the_lead_and_cannot_write(url, monkeypatch):
    # Given a leader that is stopped, such as by SIGSTOP: it sends no heartbeat
    monkeypatch.setattr(leader_election, "IDLE_SECONDS", 0.2)
    with contextlib.closing(Daemon(url, "night")) as one, contextlib.closing(Daemon(url, "day")) as other:
        end = time.monotonic() + PATIENCE
        while one.lock.acquire():  # a slow machine may lose it again while it is taken
            assert time.monotonic() < end
        # When it has not run for too long, the standby takes over
        while other.lock.acquire():
            assert time.monotonic() < end
        # Then the stopped one, once it goes on, writes nothing and knows that it leads no longer
        with pytest.raises(NotLeader):
            write(one.db, "late")
        assert not one.lock.held()
        assert keys(other.db) == set()


def test_a_lead_that_is_lost_while_it_is_taken_is_taken_again(server, url, monkeypatch):
    with contextlib.closing(Daemon(url, "night")) as one:
        first_write = one.db.write

        def lose():
            cut_off(server, url, "night")
            return first_write()

        with monkeypatch.context() as during:
            during.setattr(one.db, "write", lose)
            assert one.lock.acquire() == "leader is not known yet"
        assert one.lock.acquire() == ""
        write(one.db, "leader")


def test_a_pooler_that_moves_the_session_is_refused_and_the_lead_is_free(url, monkeypatch):
    # Given sessions as behind a pooler in transaction mode: another server process for each transaction
    processes = itertools.count(2_000_000_000)
    monkeypatch.setattr(leader_election, "_backend_pid", lambda tx: next(processes))
    with contextlib.closing(Daemon(url, "night")) as one, contextlib.closing(Daemon(url, "day")) as other:
        with pytest.raises(TransactionPooler, match="is a pooler in transaction mode"):
            one.lock.acquire()
        # A pooler in session mode has another process than the driver knows, and always the same
        monkeypatch.setattr(leader_election, "_backend_pid", lambda tx: 2_000_000_000)
        assert other.lock.acquire() == ""
        write(other.db, "leader")


def test_a_leader_that_runs_keeps_the_lead(url, monkeypatch):
    monkeypatch.setattr(leader_election, "IDLE_SECONDS", 5.0)
    with contextlib.closing(Daemon(url, "night")) as one:
        assert one.lock.acquire() == ""
        assert all(one.lock.held() for _ in range(20))


def test_whoever_takes_the_lead_sees_all_that_the_leader_before_has_written(two, server, url):
    one, other = two
    told = []
    with one.db.write() as tx:
        tx.execute(HOLDS, {"key": "last"})
        cut_off(server, url, "night")
        taker = threading.Thread(target=lambda: told.append((other.lock.acquire(), keys(other.db))))
        taker.start()
        while not server.ask(
            "postgres", "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            assert taker.is_alive()
    taker.join()
    assert told == [("", {"last"})]


def test_a_released_lead_is_free_at_once(two):
    one, other = two
    one.lock.release()
    assert other.lock.acquire() == ""


def test_a_crash_of_the_server_is_told_and_gone_on_after_with_all_that_was_committed():
    with postgresql.running(durable=True) as own, contextlib.closing(Daemon(own.empty(), "night")) as one:
        one.db.upgrade()
        assert one.lock.acquire() == ""
        write(one.db, "before")
        own.stop("immediate")
        with pytest.raises(DatabaseUnavailable, match="no session: check the server"):
            one.lock.held()
        with pytest.raises(DatabaseUnavailable, match="a running daemon continues by itself"):
            write(one.db, "meanwhile")
        own.start()
        assert not one.lock.held(), "another daemon may have led meanwhile"
        assert one.lock.acquire() == ""
        write(one.db, "after")
        assert keys(one.db) == {"before", "after"}


def test_a_session_that_keeps_others_from_writing_is_told(db, url):
    with psycopg.connect(url) as locker:
        locker.execute("SELECT pg_advisory_xact_lock(%s, %s)", WRITER)
        with pytest.raises(DatabaseUnavailable, match="another session has locked it"), db.write():
            pass
        assert keys(db) == set()
    write(db, "now")


def test_no_session_is_told_with_the_remedy_and_without_the_password(server):
    missing = Database(server.url("nowhere", "postgres:hunter2"))
    with pytest.raises(DatabaseUnavailable, match='"nowhere" does not exist') as told:
        missing.upgrade()
    assert "hunter2" not in f"{told.value} {told.value.__cause__} {missing.name}"


def test_a_user_without_rights_is_told(server):
    server.ask("postgres", "CREATE ROLE stranger LOGIN")
    name = sa.make_url(server.empty()).database
    strange = Database(server.url(name, "stranger"))
    with contextlib.closing(strange), pytest.raises(DatabaseUnavailable, match="the owner of the database"):
        strange.upgrade()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (psycopg.errors.ProtocolViolation("transaction blocks not allowed"), "a pooler in session mode"),
        (psycopg.errors.ConnectionFailure("server closed the connection"), "the connection was lost"),
        (psycopg.errors.AdminShutdown("terminating connection"), "the server is stopping or starting"),
    ],
)
def test_an_error_of_the_session_names_the_server_or_the_pooler(error, words):
    told = translate("postgresql://db/nba", None, sa.exc.OperationalError("SELECT 1", {}, error))
    assert words in str(told)
    # Only what ends by itself is waited for
    assert ("continues by itself" in str(told)) == (" pooler " not in words)


def test_a_search_path_without_a_schema_is_one_sentence_with_the_remedy(server):
    made = Database(f"{server.empty()}&options=-csearch_path%3Dnowhere")
    with contextlib.closing(made), pytest.raises(DatabaseUnavailable, match="names no schema that") as error:
        made.open()
    assert "\n" not in str(error.value)


def test_options_of_the_url_win_over_our_own(url):
    own = f"{url}&connect_timeout=3&application_name=night&keepalives_idle=60"
    with contextlib.closing(Database(own)) as database, database.read() as tx:
        used = tx.connection.dbapi_connection.info.get_parameters()
    assert (used["connect_timeout"], used["application_name"], used["keepalives_idle"]) == (
        "3",
        "night",
        "60",
    )
    assert used["keepalives_interval"] == "2", "those that it does not have stay"


def test_a_reader_sees_one_moment_and_can_change_nothing(db):
    with db.read() as tx:
        assert tx.execute(sa.text("SELECT count(*) FROM holds")).scalar_one() == 0
        write(db, "new")
        assert tx.execute(sa.text("SELECT count(*) FROM holds")).scalar_one() == 0
    with pytest.raises(DatabaseUnavailable, match="read-only"), db.read() as tx:
        tx.execute(HOLDS, {"key": "never"})


def test_backups_are_left_to_the_server(db):
    with pytest.raises(SettingsError, match="pg_dump"):
        Backups(db, now=lambda: 0.0)


def test_the_url_is_a_setting_that_nothing_repeats():
    given = {"pipeline": "p.toml", "state_dir": "s"}
    chosen = settings(**given, environment={"BACKFILLD_DATABASE": "postgres://me:hunter2@there/state"})
    assert chosen.database_url == "postgresql://me:hunter2@there/state"
    assert "hunter2" not in repr(chosen)
    with pytest.raises(SettingsError, match="BACKFILLD_DATABASE: it is not a URL of PostgreSQL") as told:
        settings(**given, environment={"BACKFILLD_DATABASE": "mysql://me:hunter2@there/state"})
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    "rest", ["me:hunter@2@there/state", "me:hunt@er2:x@there/state", "me@there:hunter2/state"]
)
def test_a_url_whose_parts_could_be_taken_for_others_is_refused_and_not_shown(rest):
    with pytest.raises(SettingsError, match="%40") as told:
        settings(pipeline="p.toml", state_dir="s", environment={"BACKFILLD_DATABASE": f"postgresql://{rest}"})
    assert "hunt" not in str(told.value)


@pytest.mark.parametrize("rest", ["me:a%40b@there:5432/state", "me:a:/?b@[::1]/state", "/state?host=/run/pg"])
def test_other_urls_are_taken_as_they_are(rest):
    chosen = settings(
        pipeline="p.toml", state_dir="s", environment={"BACKFILLD_DATABASE": f"postgresql://{rest}"}
    )
    assert chosen.database_url == f"postgresql://{rest}"


def test_an_empty_database_is_not_begun_where_jobs_have_run(server, url, tmp_path):
    told = f"is missing or empty, but attempts in {tmp_path} are not: restore the latest backup"
    with contextlib.closing(Database(server.empty())) as empty:
        # Given a state directory of nobody yet, and the same with the log of a job
        refuse_empty_database(empty, tmp_path)
        (tmp_path / "attempts" / "000").mkdir(parents=True)
        with pytest.raises(DatabaseUnavailable, match=told):
            refuse_empty_database(empty, tmp_path)
    with contextlib.closing(Database(url)) as known:
        refuse_empty_database(known, tmp_path)


def test_a_hold_is_placed_once(server):
    db = Database(server.empty())
    db.upgrade()
    with db.write(fenced=False) as tx:
        placed = [
            holds.place(tx, "warehouse", "", reason="maintenance", actor="ann", now=0.0) for _ in range(2)
        ]
    db.close()
    assert placed == [True, False]
