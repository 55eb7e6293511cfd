"""What becomes stale by a request, and what keeps stale dates waiting, is said before it runs."""

import datetime as dt
from collections import Counter

import pytest

from backfilld.daemon.reports.stale_impact import becomes_stale, becomes_stale_by_missing
from backfilld.state.store import stale_marks
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api
from tests.integration.command_line import beside
from tests.simulation.test_cascade import DAYS, FIRST, REPAIRED, stale, world
from tests.simulation.world import ME, Work, World

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


def test_a_retry_of_stale_dates_names_the_failed_date_that_they_wait_for(tmp_path, monkeypatch, capsys):
    # Given a running balance whose rerun failed on one date, so that the later ones are stale
    first, second, *later = [FIRST + dt.timedelta(days=n) for n in range(4)]
    books = phase("books", processor("balance", depends_on_past=True, max_attempts=1))
    world = World(
        pipeline(phase("raw", processor("moves")), books), dict.fromkeys([first, second, *later], 5), tmp_path
    )
    world.enqueue(first, later[-1])
    world.run()

    def fails_once(job):
        failing = job.env["BACKFILLD_PROCESSOR"] == "balance" and job.env["BACKFILLD_DATE"] == str(second)
        return Work(code=1) if failing else world.well(job)

    world.script = fails_once
    world.enqueue(first, second, force=True)
    world.run()
    assert (world.dates()[second].state, stale(world)) == ("failed", [second, *later])
    # Then the dry run and the retry say so, with the command
    api = Api(world)
    remedy = f"blocked by {second}, which failed; backfilld retry {second} --cascade"
    with beside(api, monkeypatch, capsys) as command:
        dry, *_ = command("retry", "--stale", "--dry-run").out.splitlines()
        line, *_ = command("retry", "--stale").out.splitlines()
    assert line == f"2 dates put back to pending; {remedy}"
    assert dry == f"dry run: {line}"
    # And that command lets all of them go on
    world.script = world.well
    world.commands.retry_date(second, by=ME, cascades=True)
    world.run()
    assert (stale(world), {row.state for row in world.dates().values()}) == ([], {"done"})
