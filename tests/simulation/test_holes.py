"""Holes: an earlier date that lacks something bars the way of later ones, until it is filled or accepted."""

import datetime as dt
import itertools

import pytest

from backfilld.daemon.engine import evidence_age
from backfilld.daemon.engine.enqueue_models import EnqueueRequest
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.fakes import Work
from tests.simulation.season import DAY, OPENER, SEASON, fails, shape
from tests.simulation.world import ME, World

LATER = OPENER + dt.timedelta(days=1)


@pytest.fixture
def world(tmp_path, state_url):
    found = World(shape(), SEASON, tmp_path, url=state_url)
    yield found
    found.db.close()


def test_a_hole_in_phase_3_blocks_later_dates_with_its_name_until_it_is_accepted(world):
    missing = OPENER + dt.timedelta(days=3)

    def script(job):
        same = job.env["BACKFILLD_PROCESSOR"] == "team" and job.env["BACKFILLD_DATE"] == missing.isoformat()
        return Work(code=1) if same else world.well(job)

    world.script = script
    world.enqueue(OPENER, DAY)
    for _ in range(200):
        world.step()
    row = world.dates()[DAY]
    assert (row.state, row.waiting) == ("phase3", "earlier_date")
    assert f"{missing} in phase3" in row.waiting_text
    for name in ("team", "player"):
        world.commands.accept(missing, name, by=ME, reason="arena closed")
    world.run()
    assert world.dates()[DAY].outcome == "complete"
    assert world.dates()[missing].outcome == "waived"


def test_dates_of_the_lookback_that_nobody_enqueued_are_asked_about_and_bar_the_way(world):
    world.enqueue(DAY, DAY)
    for _ in range(60):
        world.step()
    assert world.dates()[DAY].waiting == "earlier_date"
    for name, date in itertools.product(("team", "player"), SEASON):
        if date < DAY:
            world.fill(name, date)
    with world.db.write() as tx:
        checks.request_check(tx, [(d, n) for d in SEASON if d < DAY for n in ("team", "player")], world.time)
    world.run()
    assert world.dates()[DAY].outcome == "complete"


def test_of_dates_that_lie_far_apart_only_the_lookbacks_are_asked_about(tmp_path):
    # Given a lookback of two dates, and a request for two dates of a long season
    before = pipeline(
        phase("phase2", processor("box")),
        phase("phase3", processor("zones"), order="sequential", lookback=2),
    )
    world = World(before, SEASON, tmp_path)
    far = [OPENER + dt.timedelta(days=n) for n in (3, 30)]
    world.enqueuer.enqueue(EnqueueRequest(dates=tuple(far), by=ME))
    world.settle()
    # Then nobody asks about what lies between
    asked = sorted((date - OPENER).days for name, date in world.warehouse.answers if name == "box")
    assert asked == [1, 2, 3, 28, 29, 30]


@pytest.mark.parametrize("days", [1, 8])
def test_what_no_sweep_looks_at_is_queried_again_for_a_request_after_revalidate_within(
    tmp_path, monkeypatch, days
):
    # Given a done date that was computed from a complete one, which was never enqueued
    monkeypatch.setattr(evidence_age, "QUERIED_BACK", 0)  # as for one that is more than a month older
    before = pipeline(
        phase("phase2", processor("box")), phase("phase3", processor("zones"), order="sequential", lookback=1)
    )
    world = World(before, SEASON, tmp_path)
    world.fill("box", OPENER)
    world.enqueue(LATER, LATER)
    world.run()
    assert world.attempts(LATER) == [("box", "exited 0"), ("zones", "exited 0")]
    # When that one loses its rows, and the done date is computed again a day or a week later
    world.fill("box", OPENER, rows=0)
    world.time += days * 86400
    world.enqueue(LATER, LATER, force=True)
    for _ in range(20):
        world.step()
    # Then evidence of a day still counts, and after a week the date waits for what is missing
    row, counts = world.dates()[LATER], days == 1
    assert len(world.attempts(LATER)) == (4 if counts else 3)
    assert (row.outcome, row.waiting_text) == (("complete", "") if counts else ("", f"{OPENER} in phase2"))


def test_a_date_is_admitted_once_the_calendar_of_its_lookback_is_known(tmp_path):
    # Given a lookback of one date, and a request of a moment ago that the date before was no matter of
    shapes = pipeline(
        phase("phase3", processor("team")),
        phase("phase4", processor("zones"), order="sequential", lookback=1),
    )
    world = World(shapes, SEASON, tmp_path)
    before, after = DAY - dt.timedelta(days=1), DAY + dt.timedelta(days=1)
    world.enqueue(after, after)
    # When both are asked for, and the calendar's answer of just now serves the request
    world.enqueue(DAY, after)
    for _ in range(60):
        world.step()
    # Then the earlier one waits for the hole before it as ever
    assert world.dates()[DAY].waiting == "earlier_date"
    assert str(before) in world.dates()[DAY].waiting_text


def test_accepting_one_gap_of_a_date_that_nobody_enqueued_leaves_its_other_gaps_holes(world):
    # Given an earlier date that lacks both processors of phase 3, and an operator who accepts the first
    for name, date in itertools.product(("team", "player"), SEASON):
        world.fill(name, date, rows=int(date != OPENER))
    world.commands.accept(OPENER, "team", by=ME, reason="arena closed")
    # When a later date comes to the gate of phase 4
    world.enqueue(DAY, DAY)
    for _ in range(60):
        world.step()
    # Then it waits for the other
    assert world.dates()[DAY].waiting == "earlier_date"
    world.commands.accept(OPENER, "player", by=ME, reason="arena closed")
    world.run()
    assert world.dates()[DAY].outcome == "complete"


def test_what_many_dates_wait_for_is_told_alike_and_truly(world):
    fails(world, "team", code=1)
    world.enqueue(OPENER, DAY)
    for _ in range(60):
        world.step()
    with world.db.read() as tx:
        held = [row for row in world.dates().values() if row.waiting == "earlier_date"]
        told = waiting_on(tx, world.context, held)
    assert all(sentence.startswith(f"blocked by {OPENER}") for sentence in told.values())


def sentence_of(world, date):
    with world.db.read() as tx:
        return waiting_on(tx, world.context, [world.dates()[date]])[date]


@pytest.mark.parametrize(
    ("work", "reason", "command"),
    [
        (Work(code=1), "team: failed: ", f"backfilld retry {OPENER}"),
        (Work(), "team: no data: ", f"backfilld accept {OPENER} team --reason TEXT"),
    ],
    ids=["fails", "writes nothing"],
)
def test_a_date_behind_a_failed_one_names_the_root_cause_and_the_command_that_helps(
    world, work, reason, command
):
    # Given an opener on which a job fails or writes nothing until its attempts are used up
    def script(job):
        day, name = job.env["BACKFILLD_DATE"], job.env["BACKFILLD_PROCESSOR"]
        return work if (day, name) == (OPENER.isoformat(), "team") else world.well(job)

    world.script = script
    world.enqueue(OPENER, DAY)
    world.run()
    failed = world.dates()[OPENER]
    assert failed.state == "failed"
    assert failed.reason.startswith(reason)
    # Then a later date names it, why it failed, and what helps
    assert sentence_of(world, DAY) == f"blocked by {OPENER}, which failed: {failed.reason}; {command}"


def test_a_date_whose_processor_is_held_names_the_command_that_releases_it(world):
    # Given a job that fails on every date, which the breaker holds
    fails(world, "team", code=1)
    world.enqueue(OPENER, DAY)
    world.run()
    assert world.dates()[OPENER].waiting == "held"
    # Then all its dates name the hold
    for date in (OPENER, DAY):
        assert sentence_of(world, date).endswith("; backfilld release processor team")


def test_a_date_behind_one_that_was_never_enqueued_says_so(world):
    world.enqueue(DAY, DAY)
    for _ in range(60):
        world.step()
    assert sentence_of(world, DAY).startswith(f"blocked by {OPENER}, which was never enqueued: ")
    command = f"; backfilld enqueue {OPENER} 2021-10-25 --select player,team --with-upstream"
    assert sentence_of(world, DAY).endswith(command)


def test_a_date_that_bypasses_a_phase_waits_for_what_the_state_that_it_enters_needs(tmp_path):
    # Given a phase that is skipped on bootstrap dates, before a sequential one that is not
    raw, skipped = phase("raw", processor("box")), phase("mid", processor("team"), skip_bootstrap=True)
    world = World(
        pipeline(raw, skipped, phase("seq", processor("zones"), order="sequential")), SEASON, tmp_path
    )
    second, later = OPENER + dt.timedelta(days=1), DAY + dt.timedelta(days=1)
    # When a bootstrap date and a later one, which skips nothing, are enqueued alone
    world.enqueue(second, second)
    world.enqueue(later, later)
    for _ in range(60):
        world.step()
    # Then nothing is expected of the skipped phase on the dates before the first
    assert world.dates()[second].outcome == "complete"
    # And the later date waits before the last phase for the one that skips nothing either
    row = world.dates()[later]
    assert (row.state, row.waiting, row.waiting_text) == ("mid", "earlier_date", f"{DAY} in mid")


def test_a_hole_that_a_live_date_will_fill_keeps_no_other_from_being_asked_about_again(tmp_path):
    # Given a date behind one that is paused, and a later one behind one that nobody enqueued
    shapes = pipeline(
        phase("phase3", processor("team")),
        phase("phase4", processor("zones"), order="sequential", lookback=1),
    )
    world = World(shapes, SEASON, tmp_path)
    paused, behind, filled, later = (OPENER + dt.timedelta(days=n) for n in (8, 9, 19, 20))
    world.commands.pause(world.enqueue(paused, paused).id, by=ME)
    world.enqueue(behind, behind)
    world.enqueue(later, later)
    world.run(limit=60)
    assert {row.date: row.waiting for row in world.live()}[later] == "earlier_date"
    # When somebody fills the second
    world.fill("team", filled)
    world.engine.recheck_missing_upstream()
    world.run(limit=60)
    # Then the later date goes on, and the other waits as it did
    assert world.dates()[later].outcome == "complete"
    assert world.dates()[behind].waiting == "earlier_date"


def at_work_on_the_earlier_date(folder, calendar):
    """Two dates; a job of the first writes its rows at once and runs on, and the second needs them."""
    shapes = pipeline(
        phase("phase3", processor("team", writers=2)),
        phase("phase4", processor("zones"), order="sequential", lookback=1),
    )
    world = World(shapes, calendar, folder)

    def script(job):
        if (job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"]) != ("team", OPENER.isoformat()):
            return world.well(job)
        return Work(seconds=600.0, begin=world.well(job).effect)

    world.script = script
    world.enqueue(OPENER, LATER)
    while world.dates()[LATER].waiting != "earlier_date":
        world.step()
        world.settle()
    return world


@pytest.mark.parametrize("satisfied_by", ["an operator", "a query in the middle of the job"])
def test_a_later_date_waits_for_the_end_of_a_running_attempt_however_its_output_is_satisfied(
    tmp_path, satisfied_by
):
    # Given a running attempt whose output a later date needs
    calendar = dict(SEASON)
    world = at_work_on_the_earlier_date(tmp_path, calendar)
    # When its gap is accepted, or its first rows are found complete
    if satisfied_by == "an operator":
        world.commands.accept(OPENER, "team", by=ME, reason="arena closed")
    else:
        calendar[OPENER] = 3
        world.engine.recheck_calendar()
    world.settle()
    # Then the later date waits for its end, by name
    (_, later) = world.live()
    with world.db.read() as tx:
        sentence = waiting_on(tx, world.context, [later])[LATER]
    assert sentence.startswith(f"blocked by {OPENER} in phase3")
    assert "attempt 1 of team" in sentence
    # And goes on after it
    world.run()
    assert {world.dates()[date].state for date in (OPENER, LATER)} == {"done"}
    starts = [job.env["BACKFILLD_DATE"] for job in world.executor.launched if job.processor == "zones"]
    assert starts == [OPENER.isoformat(), LATER.isoformat()]


def test_a_gap_accepted_while_its_attempt_fails_lets_later_dates_pass_after_its_end(tmp_path):
    # Given a running attempt that will fail
    world = at_work_on_the_earlier_date(tmp_path, dict(SEASON))
    del world.warehouse.rows["team", OPENER]
    (process,) = world.executor.alive.values()
    process.code = 1
    # When its gap is accepted, then both dates go on once it has ended, and it is not run again
    world.commands.accept(OPENER, "team", by=ME, reason="arena closed")
    world.run()
    assert [world.dates()[date].outcome for date in (OPENER, LATER)] == ["waived", "complete"]
    assert world.attempts(OPENER) == [("team", "exited 1"), ("zones", "exited 0")]


@pytest.mark.parametrize("keys", [{"fallbacks": ["spare"]}, {"priority": "important"}])
def test_what_a_date_goes_without_bars_no_later_one_while_it_waits_itself(tmp_path, keys):
    # Given a source that never has rows, and a window of two dates, the first of which nobody requested
    sources = [processor("box"), processor("plays", **keys), processor("spare", priority="fallback")]
    derived = phase("derived", processor("team"), lookback=2)
    world = World(pipeline(phase("raw", *sources), derived, calendar={}), {}, tmp_path)
    world.script = lambda job: Work() if job.env["BACKFILLD_PROCESSOR"] == "plays" else world.well(job)
    days = [OPENER + dt.timedelta(days=n) for n in range(5)]
    world.enqueue(days[0], days[-1])
    world.run(limit=100)
    # Then the first two wait for what nobody requested, and the others have all that they need
    states = {date: row.state for date, row in world.dates().items()}
    assert [states[date] for date in days] == ["raw", "raw", "done", "done", "done"]
