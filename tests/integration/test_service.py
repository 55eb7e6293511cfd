"""The daemon's threads, where they interact."""

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


def test_periodic_jobs_are_rescheduled_though_the_wakeup_fires_just_as_the_clock_is_set(service, monkeypatch):
    # Given a daemon with a periodic job and a wake-up timer
    scheduler, hour = service._scheduler, dt.timedelta(hours=1)
    far = dt.datetime.now(dt.UTC) + hour
    for name in ("wakeup", "timers"):
        scheduler.add_job(service.wake, "date", run_date=far, id=name)
    planned = scheduler.get_jobs()
    # When the wake-up timer has fired by the time that all jobs are rescheduled
    scheduler.remove_job("wakeup")
    monkeypatch.setattr(scheduler, "get_jobs", lambda: planned)
    service._on_clock_step(-3600.0)
    # Then the periodic job runs at once, without an error
    assert planned[1].next_run_time < far - hour / 2
    service._lock.release()
    service.db.close()
