"""The daemon's threads, where they meet."""

import datetime as dt

from daemon.config import Settings
from daemon.service import Service

PIPELINE = """
name = "small"
warehouse = { kind = "lake", path = "lake" }
[[phase]]
name = "phase2"
processor = [{ name = "box", table = "nba.box", command = ["true"] }]
"""


def test_the_clock_is_watched_on_when_the_alarm_went_off_just_as_the_clock_was_set(tmp_path, monkeypatch):
    # Given a daemon with a tick and an alarm
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    service = Service(Settings(pipeline=file, state_dir=tmp_path / "state", host="127.0.0.1", port=0))
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
