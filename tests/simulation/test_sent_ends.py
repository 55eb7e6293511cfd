"""The end of a backfill is sent once, and again only after an operator's request or a failure."""

import datetime as dt

import pytest

from backfilld.api.notifications import messages
from backfilld.daemon.engine.bulk_request import DateQuery
from backfilld.daemon.engine.retry_dates import Retry
from backfilld.state.records import Mark
from backfilld.state.store import sent_notifications
from tests.factories import phase, pipeline, processor
from tests.simulation.world import ME, Work, World

DAYS = [dt.date(2025, 10, n) for n in (6, 7, 8)]
NEXT_DAY = dt.datetime(2025, 10, 10, tzinfo=dt.UTC).timestamp()
"""When the last date is one day old."""


@pytest.fixture
def world(tmp_path):
    """A world of provisional events and a balance over them, whose dates are done and whose end was sent."""
    late = processor("events", final_after="3d", refresh=["1d"])
    balance = processor("balance", depends_on_past=True)
    file = pipeline(phase("raw", late), phase("derived", balance), calendar={}, jobs={"backoff": "10s"})
    found = World(file, {}, tmp_path)
    found.enqueue(DAYS[0], DAYS[-1])
    assert len(sent(found)) == 1
    return found


def sent(world):
    """The messages about the end of backfills that are due once the world is at rest, and then are sent."""
    world.run()
    with world.db.write() as tx:
        due = list(messages.due(tx, world.context))
        for digest in due:
            sent_notifications.mark_sent(tx, digest.subject, digest.topics, world.time)
    return [digest.text.splitlines()[0] for digest in due]


def retry(world, how=None, **query):
    world.commands.retry_dates(DateQuery(**query), how or Retry(), by=ME)


def test_a_refresh_that_ends_well_sends_nothing(world):
    world.time = NEXT_DAY
    world.engine.refresh_provisional()
    assert world.live()
    assert sent(world) == []


def test_a_refresh_that_fails_its_date_sends_the_end_again(world):
    world.time = NEXT_DAY
    world.script = lambda job: Work(code=1)
    world.engine.refresh_provisional()
    (message,) = sent(world)
    assert world.dates()[DAYS[-1]].state == "failed"
    assert message.startswith("nba: backfill 1 finished again (100 %): dates ran again, started ")


@pytest.mark.parametrize(
    ("query", "how"),
    [
        ({"dates": (DAYS[0],)}, Retry(cascades=True)),
        ({"mark": Mark.STALE}, Retry()),
        ({"dates": (DAYS[1], DAYS[2])}, Retry(force=True)),
    ],
    ids=["cascade", "stale", "force"],
)
def test_a_retry_sends_the_end_of_each_of_its_backfills_once_more_in_these_words(world, query, how):
    # Given done dates that are stale, as an operator has repaired what they need
    world.fill("events", DAYS[0], rows=0)
    retry(world, dates=(DAYS[0],))
    sent(world)
    # When they run again
    retry(world, how, **query)
    # Then the end is sent once, and says what it is
    (message,) = sent(world)
    assert message.startswith("nba: backfill 1 finished again (100 %): dates ran again, started ")
    assert sent(world) == []


def test_a_processor_that_runs_again_ends_a_backfill_of_its_own(world):
    retry(world, Retry(processors=("events",)), dates=(DAYS[1],))
    (message,) = sent(world)
    assert message.startswith("nba: backfill 2 finished (100 %), started ")


def test_a_backfill_that_is_stuck_again_after_it_recovered_says_so_again(tmp_path):
    # Given a balance of which each date needs the one before, and whose jobs fail
    jobs = {"backoff": "10s", "breaker_threshold": 100}
    balance = phase("raw", processor("balance", depends_on_past=True))
    file = pipeline(balance, calendar={}, jobs=jobs)
    world = World(file, {}, tmp_path)
    world.script = lambda job: Work(code=1)
    world.enqueue(DAYS[0], DAYS[-1])
    (message,) = sent(world)
    assert "is stuck" in message
    assert not sent(world)  # the step that it had passed with it is no news
    # When the rows of its first date appear, and the next date fails
    world.fill("balance", DAYS[0])
    world.time += 3600
    world.engine.recheck_failed()
    (message,) = sent(world)
    # Then it is stuck again, and says so
    assert [world.dates()[day].state for day in DAYS[:2]] == ["done", "failed"]
    assert "stuck" in message
