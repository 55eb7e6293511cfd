"""The daemon's threads, where they interact."""

import datetime as dt
import logging
import os
import sqlite3
import threading
import time
from dataclasses import replace

import pytest

from backfilld.daemon import database_watch
from backfilld.daemon.service import LATE_TIMERS_SECONDS, Service
from backfilld.daemon.settings import Settings
from backfilld.state.records import Actor
from backfilld.state.store import sqlite_file_checksum
from backfilld.state.store.database_errors import DatabaseUnavailable
from backfilld.state.store.leader_election import FILE, AlreadyRunning, FileLock, Holder
from tests.timeouts import PATIENCE

PIPELINE = """
name = "small"
warehouse = { kind = "lake", path = "lake" }
[[phase]]
name = "phase2"
processor = [{ name = "box", table = "nba.box", command = ["true"] }]
"""


@pytest.fixture
def service(tmp_path):
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    return Service(Settings(pipeline=file, state_dir=tmp_path / "state", host="127.0.0.1", port=0))


def test_old_logs_are_removed_at_the_start_and_not_an_hour_later(service, tmp_path):
    # Given a log that is older than log_retention
    old = tmp_path / "state" / "attempts" / "000" / "1.log"
    old.parent.mkdir(parents=True, exist_ok=True)
    old.touch()
    os.utime(old, (time.time() - 60, time.time() - 60))
    # When a daemon starts
    service.db.close()
    service._lock.release()
    file = tmp_path / "pipeline.toml"
    file.write_text(f'{PIPELINE}[engine]\nlog_retention = "5s"\n')
    service = Service(service.settings)
    service.start()
    # Then it goes
    wait_until(lambda: not old.exists())
    service.stop()


def test_a_write_that_fails_on_an_idle_daemon_is_reported_until_one_succeeds(service, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(database_watch, "CHECK_SECONDS", 0.1)
    service.start()
    wait_until(lambda: not any(service.health().values()))
    write = service.db._transactions.write

    def full():
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    def logged(text):
        return [record.levelname for record in caplog.records if text in record.message]

    # Given an idle daemon whose disk is full
    monkeypatch.setattr(service.db._transactions, "write", full)
    assert not any(service.health().values())
    # When a request wants to change something
    with pytest.raises(DatabaseUnavailable):
        service.commands.pause_everything(by=Actor(name="me"), reason="")
    # Then health and log have the cause, the log once
    assert "the disk is full; make room" in service.health()["database"]
    wait_until(lambda: logged("the disk is full; make room"))
    time.sleep(0.5)
    assert logged("the disk is full; make room") == ["ERROR"]
    # And both say so once there is room
    monkeypatch.setattr(service.db._transactions, "write", write)
    wait_until(lambda: logged("takes writes again"))
    assert not any(service.health().values())
    assert logged("takes writes again") == ["INFO"]
    service.stop()


def test_a_database_that_was_deleted_is_named_once_in_the_log_of_an_idle_daemon(service, monkeypatch, caplog):
    monkeypatch.setattr(database_watch, "CHECK_SECONDS", 0.1)
    service.start()
    wait_until(lambda: not any(service.health().values()))
    (service.settings.state_dir / "state.db").unlink()
    lost = service.health()["database"]
    assert "was deleted or replaced while the daemon was running" in lost
    wait_until(lambda: lost in caplog.messages)
    time.sleep(0.5)
    assert caplog.messages.count(lost) == 1
    service.stop()


def wait_until(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_database_of_a_daemon_that_was_stopped_in_order_has_a_checksum(service):
    file = service.settings.state_dir / "state.db"
    service.start()
    assert service.stop()
    assert sqlite_file_checksum.matches(file)
    # And it goes with the file, not with its name
    file.write_bytes(file.read_bytes() + b"\0")
    assert not sqlite_file_checksum.matches(file)


def test_a_database_that_was_replaced_while_it_was_open_gets_no_checksum(service):
    service.start()
    service.health()
    file = service.settings.state_dir / "state.db"
    copy = file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    copy.replace(file)
    service.stop()
    assert not sqlite_file_checksum.matches(file)


def test_a_database_that_was_damaged_while_a_daemon_ran_is_not_backed_up_and_refused_by_the_next_one(service):
    incidents = []
    service.subscribe(incidents.append)
    service.start()
    # Given damage that does not keep the daemon from running
    with service.db.write() as tx:
        tx.exec_driver_sql("DROP TRIGGER dates_recounted")
    # When its next backup is due
    service.settings = replace(service.settings, backup_every=1e-9)
    service._back_up()
    # Then it says so, and makes no copy
    assert ["dates_recounted is not as it was made" in incident.text for incident in incidents] == [True]
    assert not list((service.settings.state_dir / "backups").glob("state-2*.db"))
    # And it is refused at the next start, although it was closed in order
    assert service.stop()
    with pytest.raises(DatabaseUnavailable, match="dates_recounted is not as it was made"):
        Service(service.settings)


def test_a_periodic_job_that_may_still_write_keeps_the_lock(service):
    # Given a periodic job that does not return
    begun, goes_on = threading.Event(), threading.Event()
    service.start()
    now = dt.datetime.now(dt.UTC)
    service._scheduler.add_job(
        lambda: begun.set() or goes_on.wait(), "interval", seconds=3600, next_run_time=now
    )
    assert begun.wait(60)
    # When the daemon is stopped
    assert not service.stop(timeout=1.0)
    # Then no other daemon can acquire the lock
    other = FileLock(service.settings.state_dir / FILE, Holder.me(since=0.0, listen=""))
    with pytest.raises(AlreadyRunning):
        other.acquire()
    goes_on.set()
    service._lock.release()


def test_periodic_jobs_are_rescheduled_though_one_is_removed_just_as_the_clock_is_set(service, monkeypatch):
    # Given a daemon with two periodic jobs
    scheduler, hour = service._scheduler, dt.timedelta(hours=1)
    far = dt.datetime.now(dt.UTC) + hour
    for name in ("removed", "timers"):
        scheduler.add_job(service.wake, "date", run_date=far, id=name)
    planned = scheduler.get_jobs()
    # When one is removed, as at the end, by the time that all jobs are rescheduled
    scheduler.remove_job("removed")
    monkeypatch.setattr(scheduler, "get_jobs", lambda: planned)
    service._on_clock_step(-3600.0)
    # Then the other one runs at once, without an error
    assert planned[1].next_run_time < far - hour / 2
    service._lock.release()
    service.db.close()


def test_periodic_jobs_that_no_longer_run_show_in_the_health(service, monkeypatch):
    # Given a daemon that is well
    service.start()
    assert not any(service.health().values())
    # When no periodic job has run for a while, for want of threads or memory
    monkeypatch.setattr(service, "_check_timers", lambda: None)
    service._scheduler.remove_job("timers")
    service._timers_checked_at -= LATE_TIMERS_SECONDS + 1
    # Then it says so
    assert service.health()["timers"].startswith("no periodic job has run for 6")
    service.stop()


def test_a_worker_whose_thread_has_ended_shows_in_the_health(service):
    service.start()
    service._warehouse_worker.stop()
    assert service._warehouse_worker.join(60)
    assert service.health()["warehouse"] == "its thread has ended: restart the daemon"
    service.stop()


def test_a_daemon_whose_workers_stop_for_a_reload_is_ready_and_takes_commands_until_it_closes(service):
    service.start()
    assert service.stop_workers()
    assert not any(service.health().values())
    service.commands.pause_everything(by=Actor(name="ana"), reason="")
    service.close()


@pytest.mark.parametrize(("suffix", "remedy"), [("-wal", "restart the daemon with SIGTERM"), ("", "restore")])
def test_a_file_of_the_database_that_was_deleted_while_it_was_open_shows_in_the_health(
    service, suffix, remedy
):
    service.start()
    assert service.health()["database"] == ""
    (service.settings.state_dir / f"state.db{suffix}").unlink()
    assert (
        f"state.db{suffix} was deleted or replaced while the daemon was running"
        in (service.health()["database"])
    )
    assert remedy in service.health()["database"]
    service.stop()


def test_a_file_of_the_database_that_was_replaced_shows_in_the_health(service):
    service.start()
    file = service.settings.state_dir / "state.db"
    copy = file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    copy.replace(file)
    assert "was deleted or replaced" in service.health()["database"]
    service.stop()
