"""The daemon's threads, where they meet."""

import datetime as dt
import threading

import pytest

from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings
from backfilld.state.store.lock import FILE, AlreadyRunning, FileLock, Holder

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


def test_a_tick_that_may_still_write_keeps_the_lock(service):
    # Given a tick that does not come back
    begun, goes_on = threading.Event(), threading.Event()
    service.start()
    now = dt.datetime.now(dt.UTC)
    service._scheduler.add_job(
        lambda: begun.set() or goes_on.wait(), "interval", seconds=3600, next_run_time=now
    )
    assert begun.wait(60)
    # When the daemon is stopped
    assert not service.stop(timeout=1.0)
    # Then nobody else can take its place
    other = FileLock(service.settings.state_dir / FILE, Holder.me(since=0.0, listen=""))
    with pytest.raises(AlreadyRunning):
        other.acquire()
    goes_on.set()
    service._lock.release()


def test_the_clock_is_watched_on_when_the_alarm_went_off_just_as_the_clock_was_set(service, monkeypatch):
    # Given a daemon with a tick and an alarm
    scheduler, hour = service._scheduler, dt.timedelta(hours=1)
    far = dt.datetime.now(dt.UTC) + hour
    for name in ("alarm", "watch"):
        scheduler.add_job(service.wake, "date", run_date=far, id=name)
    planned = scheduler.get_jobs()
    # When the alarm is gone by the time that what is planned is planned anew
    scheduler.remove_job("alarm")
    monkeypatch.setattr(scheduler, "get_jobs", lambda: planned)
    service._clock_leapt(-3600.0)
    # Then the tick comes at once, and nothing has broken
    assert planned[1].next_run_time < far - hour / 2
    service._lock.release()
    service.db.close()
