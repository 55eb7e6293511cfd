"""Requests that run only some processors: no gate is loosened, and what they leave behind is named."""

import datetime as dt

import pytest

from backfilld.daemon.reports import stuck_backfills
from backfilld.state.records import Mark, Sources
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.rules.processor_selection import resolve
from backfilld.state.store import backfills, checks, stale_marks
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.season import OPENER, SEASON
from tests.simulation.world import ME, Work, World

DAY = dt.timedelta(days=1)


@pytest.fixture
def world(tmp_path):
    shape = pipeline(
        phase("raw", processor("box"), processor("lines")),
        phase("analytics", processor("team"), processor("player")),
        phase("features", processor("zones"), processor("cache"), order="sequential"),
    )
    found = World(shape, SEASON, tmp_path)
    yield found
    found.db.close()


def select(world, *terms, **options):
    names = resolve(world.pipeline, terms, with_upstream=options.pop("with_upstream", False))
    return world.enqueue(OPENER, OPENER, selection=names, **options)


def launched(world):
    return [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched]


def done(world):
    """Everything is done once; what runs from now on is what a selection runs."""
    world.enqueue(OPENER, OPENER)
    world.run()
    world.executor.launched.clear()


def stale(world):
    with world.db.read() as tx:
        rows = checks.for_dates(tx, [OPENER])[OPENER]
    return {name for name, check in rows.items() if check.stale_at is not None}


def test_only_the_selected_job_runs_and_the_date_says_what_was_not_selected(world):
    for name in ("box", "lines"):
        world.fill(name, OPENER)
    select(world, "player")
    world.run()
    assert launched(world) == ["player"]
    row = world.dates()[OPENER]
    assert (row.outcome, row.regressed) == ("selected", "")
    assert row.reason == "not selected: team is never_ran, zones is never_ran, cache is never_ran"


def test_a_missing_upstream_that_is_not_selected_is_waited_for_by_name_and_is_stuck(world):
    world.fill("box", OPENER)
    receipt = select(world, "player")
    world.run()
    (row,) = world.live()
    assert (row.waiting, launched(world)) == ("unselected", [])
    assert row.waiting_text.startswith("lines: never_ran")
    remedy = f"backfilld enqueue {OPENER} --select player --with-upstream"
    assert row.waiting_text.endswith(f"not selected; {remedy}")
    with world.db.read() as tx:
        assert stuck_backfills.status(tx, world.context, backfills.get(tx, receipt.id))[0] == "stuck"


@pytest.mark.parametrize("terms", [("cache",), ("zones", "team"), ("phase:features", "player")])
def test_the_one_command_of_the_wait_fills_all_that_is_missing_upstream_in_every_state(world, terms):
    # Given a date without any output, of which only late processors are selected
    select(world, *terms)
    world.run()
    command = world.dates()[OPENER].waiting_text.split("; ")[-1]
    words = command.removesuffix(" --with-upstream").split(" ")
    assert words[:4] == ["backfilld", "enqueue", str(OPENER), "--select"]
    # When what the wait says is done
    select(world, *words[4].split(","), with_upstream=True)
    world.run()
    # Then nothing waits any more, whichever states the missing outputs belong to
    assert world.dates()[OPENER].outcome in ("complete", "selected")
    assert set(launched(world)) >= set(resolve(world.pipeline, terms))


@pytest.mark.parametrize("limit", [{"since": OPENER + DAY}, {"until": OPENER - DAY}])
def test_a_selected_processor_without_output_on_the_date_waits_for_nothing(tmp_path, limit):
    # Given a processor that has output on other dates only, and nothing of what it is computed from
    shape = pipeline(
        phase("raw", processor("box")), phase("analytics", processor("team"), processor("player", **limit))
    )
    found = World(shape, SEASON, tmp_path)
    # When it alone is requested
    select(found, "player")
    found.run()
    # Then the date is done as far as that, and no job has run
    assert (found.dates()[OPENER].outcome, launched(found)) == ("selected", [])
    # But one that has output waits for it by name, whatever else is selected
    select(found, "player", "team")
    found.run()
    assert found.dates()[OPENER].waiting == "unselected"


def test_an_unselected_upstream_that_another_scheduler_writes_is_found(world):
    select(world, "player")
    world.run()
    for name in ("box", "lines"):
        world.fill(name, OPENER)
    world.engine.recheck_missing_upstream()
    world.run()
    assert launched(world) == ["player"]
    assert world.dates()[OPENER].outcome == "selected"


def test_a_selected_job_waits_for_the_external_run_of_what_is_not_selected(world):
    # Given an external run of the same state, when a processor beside it is selected
    world.warehouse.open["lines", OPENER] = HistoryRun(succeeded=False, started_at=world.time)
    select(world, "box")
    world.settle()
    # Then nothing starts until that run is over, or as old as `stale_after`
    assert (world.dates()[OPENER].waiting, launched(world)) == ("open_run", [])
    world.time += 5 * 3600
    world.run()
    assert (world.dates()[OPENER].outcome, launched(world)) == ("selected", ["box"])


def test_the_date_goes_on_when_another_backfill_selects_the_upstream(world):
    select(world, "player")
    world.run()
    select(world, "phase:raw")
    world.run()
    assert sorted(launched(world)) == ["box", "lines", "player"]
    assert world.dates()[OPENER].outcome == "selected"


def test_with_upstream_runs_what_the_selected_one_needs(world):
    select(world, "player", with_upstream=True)
    world.run()
    assert sorted(launched(world)) == ["box", "lines", "player"]


def test_a_selection_of_everything_downstream_ends_complete(world):
    done(world)
    select(world, "player+", force=True)
    world.run()
    assert launched(world) == ["player", "zones", "cache"]
    assert world.dates()[OPENER].outcome == "complete"
    assert stale(world) == set()


def test_unselected_downstream_of_what_was_rewritten_is_stale_by_name_and_retry_stale_pays_it(world):
    # Given a done date, one processor of which is rewritten
    done(world)
    select(world, "player", force=True)
    world.run()
    assert launched(world) == ["player"]
    assert world.dates()[OPENER].outcome == "complete"
    # Then what was computed from it is stale
    assert stale(world) == {"zones", "cache"}
    with world.db.read() as tx:
        causes = stale_marks.stale_outputs(tx, [OPENER])[OPENER]
    assert {name: [cause.processor for cause in of_one] for name, of_one in causes.items()} == {
        "zones": ["player"],
        "cache": ["player"],
    }
    # When an operator pays the debt
    retry_marked(world.commands, Mark.STALE, OPENER, OPENER)
    world.run()
    # Then exactly that runs
    assert launched(world) == ["player", "zones", "cache"]
    assert stale(world) == set()
    assert world.dates()[OPENER].stale_at is None


def test_a_source_that_was_rewritten_makes_a_parallel_phase_stale_too(world):
    done(world)
    select(world, "box", force=True)
    world.run()
    assert stale(world) == {"team", "player", "zones", "cache"}
    retry_marked(world.commands, Mark.STALE, OPENER, OPENER)
    world.run()
    assert sorted(launched(world)) == ["box", "cache", "player", "team", "zones"]
    assert stale(world) == set()


def test_a_selected_processor_that_is_complete_does_not_run_without_force(world):
    done(world)
    receipt = select(world, "player")
    assert receipt.outcomes == {"already_done": 1}
    assert launched(world) == []
    assert stale(world) == set()


def test_a_date_that_is_done_for_a_selection_says_what_it_lacks_beside_it(world):
    done(world)
    world.fill("team", OPENER, rows=0)
    (detail,) = select(world, "cache").details
    assert (detail.outcome, detail.reason) == ("already_done", "not selected: team no_data")
    # A request for all runs it, and one beside what is complete says nothing
    (detail,) = world.enqueue(OPENER, OPENER).details
    assert detail.outcome == "enqueued"
    world.run()
    (detail,) = select(world, "cache").details
    assert (detail.outcome, detail.reason) == ("already_done", "")


def test_a_date_is_not_complete_where_an_unselected_output_needs_an_earlier_date_that_failed(tmp_path):
    # Given a feature that is there, and a day before it of which the source never ran
    shape = pipeline(
        phase("raw", processor("box")), phase("features", processor("zones"), order="sequential")
    )
    world = World(shape, SEASON, tmp_path)
    world.fill("zones", OPENER + DAY)
    world.enqueue(OPENER, OPENER + DAY, sources=Sources.NONE)
    world.run()
    # When the source of the later day alone is requested
    world.enqueue(OPENER + DAY, OPENER + DAY, selection=["box"])
    world.run()
    # Then its date says what the feature was computed without
    row = world.dates()[OPENER + DAY]
    assert (row.outcome, row.reason) == ("selected", f"not selected: zones needs {OPENER} in raw")


def test_a_selection_wider_than_that_of_the_live_date_starts_it_again(world):
    # Given a date that has passed what is not selected
    for name in ("box", "lines"):
        world.fill(name, OPENER)
    world.script = lambda job: Work(seconds=50.0, talks=50.0, effect=world.well(job).effect)
    select(world, "player")
    world.settle()
    # When all of it is requested
    world.enqueue(OPENER, OPENER)
    world.run()
    # Then all of it runs, once
    assert sorted(launched(world)) == ["cache", "player", "team", "zones"]
    assert world.dates()[OPENER].outcome == "complete"


def test_cancel_stops_the_jobs_that_only_the_cancelled_backfill_selects(world):
    world.script = lambda job: Work(seconds=50.0, talks=50.0, effect=world.well(job).effect)
    narrow = select(world, "box")
    whole = world.enqueue(OPENER, OPENER)
    world.settle()
    assert sorted(launched(world)) == ["box", "lines"]
    world.commands.cancel(whole.id, by=ME)
    world.settle()
    assert [process.job.env["BACKFILLD_PROCESSOR"] for process in world.executor.alive.values()] == ["box"]
    world.run()
    assert world.dates()[OPENER].outcome == "selected"
    assert world.status(narrow) == "finished"


def test_what_only_a_paused_backfill_selects_waits_for_it(world):
    whole = world.enqueue(OPENER, OPENER)
    select(world, "box")
    world.commands.pause(whole.id, by=ME)
    world.run()
    assert launched(world) == ["box"]
    (row,) = world.live()
    assert (row.waiting, row.waiting_text) == (
        "paused",
        f"backfill {whole.id} is paused; backfilld resume {whole.id}",
    )


@pytest.mark.parametrize(
    ("wanted", "again"), [((), "complete"), (("player",), "selected"), (("box",), "selected")]
)
def test_the_retry_of_a_cancelled_backfill_runs_what_a_narrower_one_left_out_since(world, wanted, again):
    # Given a cancelled backfill whose date is done since, as far as another one selected
    cancelled = select(world, *wanted, with_upstream=bool(wanted))
    world.commands.cancel(cancelled.id, by=ME)
    world.settle()
    select(world, "box")
    world.run()
    assert (world.dates()[OPENER].outcome, launched(world)) == ("selected", ["box"])
    # When it is retried, then the rest of what it selects runs
    world.commands.retry(cancelled.id, by=ME)
    world.run()
    assert world.dates()[OPENER].outcome == again
    expected = {(): 6, ("player",): 3, ("box",): 1}
    assert len(launched(world)) == expected[wanted]
    assert world.status(cancelled) == "finished"


def test_a_waiver_holds_no_longer_once_nobody_selects_its_output_and_the_date_waits_for_it(tmp_path):
    # Given a date that goes without a source by its priority, and waits for the day before
    sources = phase("raw", processor("box"), processor("lines", priority="important"))
    world = World(pipeline(sources, phase("analytics", processor("team"), lookback=1)), SEASON, tmp_path)
    world.script = lambda job: Work() if job.env["BACKFILLD_PROCESSOR"] == "lines" else world.well(job)
    date = OPENER + DAY
    whole = world.enqueue(date, date)
    world.enqueue(date, date, selection=("box", "team"))
    world.run(limit=100)
    assert lines(world, date) == ("policy", True)
    # When the backfill that let it go is cancelled, then its output is missing
    world.commands.cancel(whole.id, by=ME)
    world.run(limit=100)
    assert world.dates()[date].waiting_text.startswith("lines: no_data: ")
    assert lines(world, date) == ("", False)


def lines(world, date):
    """Who waived an output, and whether it satisfies needs."""
    with world.db.read() as tx:
        check = checks.for_dates(tx, [date])[date]["lines"]
    return check.waived_by, bool(check.satisfied)
