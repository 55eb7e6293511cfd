"""A full disk under the files of dates costs no date an attempt, and its wait says so."""

import datetime as dt
import errno

from backfilld.daemon.engine import launch
from backfilld.daemon.executors.attempt_files import private_opener
from backfilld.daemon.reports.waiting_on import waiting_on
from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

OPENER = dt.date(2021, 10, 27)


def test_a_file_of_dates_that_finds_no_room_is_written_later(tmp_path, monkeypatch):
    def full(path, flags):
        raise OSError(errno.ENOSPC, "No space left on device")

    box = processor("box", command=["job", "--dates", "{dates_file}"])
    world = World(pipeline(phase("phase2", box)), {OPENER: 3}, tmp_path)
    monkeypatch.setattr(launch, "private_opener", full)
    world.enqueue(OPENER, OPENER)
    world.settle()
    with world.db.read() as tx:
        (waits,) = waiting_on(tx, world.context, world.live()).values()
    assert waits == "no slot now, because the disk of the state directory is full"
    monkeypatch.setattr(launch, "private_opener", private_opener)
    world.run()
    assert world.dates()[OPENER].outcome == "complete"
    assert world.attempts(OPENER).count(("box", "exited 0")) == 1
