"""What becomes stale by a request is counted before it runs, as it is after."""

from collections import Counter

import pytest

from backfilld.daemon.reports.stale_impact import becomes_stale, becomes_stale_by_missing
from backfilld.state.store import stale_marks
from tests.simulation.test_cascade import DAYS, REPAIRED, world

__all__ = ["world"]


@pytest.mark.parametrize("names", [("team",), ("team", "zones"), ("cache",)])
def test_what_a_plain_request_leaves_stale_by_what_was_missing_is_counted_before(world, names):
    for name in names:
        world.fill(name, REPAIRED, rows=0)
    with world.db.read() as tx:
        debt = becomes_stale_by_missing(tx, world.pipeline, {REPAIRED: names})
    receipt = world.enqueue(REPAIRED, REPAIRED)
    assert receipt.details[0].missing == names
    world.run()
    assert debt == Counter(name for of_date in stale_by_date(world).values() for name in of_date)


def stale_by_date(world):
    with world.db.read() as tx:
        return stale_marks.stale_outputs(tx, DAYS)


@pytest.mark.parametrize("selection", [("team",), ("zones",), ("team", "zones", "cache"), None])
def test_what_a_forced_request_leaves_stale_is_counted_before_later_dates_included(world, selection):
    with world.db.read() as tx:
        debt = becomes_stale(tx, world.pipeline, selection, [REPAIRED])
    assert debt
    world.enqueue(REPAIRED, REPAIRED, selection=selection, force=True)
    world.run()
    with world.db.read() as tx:
        outputs = stale_marks.stale_outputs(tx, DAYS)
    assert Counter(name for of_date in outputs.values() for name in of_date) == debt
