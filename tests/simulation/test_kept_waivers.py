"""Outputs that a date goes without by priority or fallback, and later requests that do not run these."""

import datetime as dt

import pytest

from backfilld.daemon.engine.bulk_request import DateQuery
from backfilld.daemon.engine.retry_dates import Retry
from backfilld.state.records import Mark, Sources
from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.season import OPENER, SEASON
from tests.simulation.world import ME, Work, World

DAY = dt.timedelta(days=1)
FILE = pipeline(
    phase("raw", processor("src")),
    phase("calc", processor("main"), processor("opt", priority="important")),
    phase("fin", processor("rep")),
)
NO_DATA = "opt: no data: the latest run succeeded (exit 0), but there are no rows"


def waived(path, file=FILE, lacks=("opt",), **options):
    """A world in which a date is done without an output."""
    world = World(file, SEASON, path)
    world.script = lambda job: Work() if job.env["BACKFILLD_PROCESSOR"] in lacks else world.well(job)
    world.enqueue(OPENER, OPENER, **options)
    world.run(limit=200)
    assert world.dates()[OPENER].outcome in ("waived", "complete")
    world.executor.launched.clear()
    return world


def ran(world):
    jobs = [job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched]
    world.executor.launched.clear()
    return jobs


def retry(world, *processors):
    world.commands.retry_dates(DateQuery(dates=(OPENER,)), Retry(processors=processors), by=ME)
    world.run(limit=200)


def ended(world):
    row = world.dates()[OPENER]
    return row.outcome, row.reason


@pytest.mark.parametrize("name", ["src", "main", "rep"])
def test_a_retry_of_one_processor_keeps_the_waiver_of_what_it_does_not_run(tmp_path, name):
    world = waived(tmp_path)
    retry(world, name)
    assert (ran(world), ended(world)) == ([name], ("waived", NO_DATA))
    # And what that made stale runs, once more also where it left nothing
    retry_marked(world.commands, Mark.STALE, OPENER, OPENER)
    world.run(limit=200)
    stale = {"src": ["main", "opt", "opt", "rep"], "main": ["rep"], "rep": []}
    assert (ran(world), ended(world)) == (stale[name], ("waived", NO_DATA))


@pytest.mark.parametrize("names", [("rep",), ("main",), ("src",)])
def test_a_new_request_that_selects_less_keeps_the_waiver_of_the_one_before(tmp_path, names):
    world = waived(tmp_path)
    world.enqueue(OPENER, OPENER, selection=names, force=True)
    world.run(limit=200)
    assert (ran(world), ended(world)) == (list(names), ("waived", NO_DATA))


def test_a_new_request_that_selects_an_output_tries_it_once_more(tmp_path):
    world = waived(tmp_path)
    world.enqueue(OPENER, OPENER, selection=("opt", "rep"), force=True)
    world.run(limit=200)
    assert (ran(world), ended(world)) == (["opt", "opt", "rep"], ("waived", NO_DATA))
    # And so does a retry of the whole date
    retry(world)
    assert (ran(world), ended(world)) == (["opt", "opt"], ("waived", NO_DATA))


def test_a_date_waits_by_name_for_an_output_that_is_wrong_in_another_way_than_when_it_was_waived(tmp_path):
    # Given an output of which a part appears after the date passed without it
    opt = processor("opt", priority="important", expect={"rows": [2, 2]})
    file = pipeline(phase("calc", processor("main"), opt), phase("fin", processor("rep")))
    world = waived(tmp_path, file)
    world.fill("opt", OPENER, rows=1)
    # When another one is run alone
    retry(world, "rep")
    # Then the gate is not loosened: nobody has let that part pass
    assert ran(world) == []
    assert world.dates()[OPENER].waiting_text.startswith("opt: partial: 1 of 2 rows and not selected")


def test_a_waiver_ends_where_the_output_is_there_by_itself(tmp_path):
    # Given rows that show after the date passed without them
    world = waived(tmp_path)
    world.fill("opt", OPENER, rows=1)
    # When another output is computed once more
    retry(world, "rep")
    # Then the date lacks nothing
    assert (ran(world), ended(world)) == (["rep"], ("complete", ""))
    with world.db.read() as tx:
        assert checks.for_dates(tx, [OPENER])[OPENER]["opt"].waived_by == ""


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("is_retried", [False, True])
def test_what_fewer_sources_let_pass_passes_in_a_retry_that_runs_something_else(tmp_path, rows, is_retried):
    lines = processor("lines", priority="important", expect={"rows": [2, 2]})
    file = pipeline(phase("raw", processor("box"), lines), phase("fin", processor("rep")))
    world = World(file, SEASON, tmp_path)
    world.fill("lines", OPENER, rows=rows)
    world.enqueue(OPENER, OPENER, sources=Sources.CRITICAL)
    world.run(limit=200)
    before = ended(world)
    assert before[0] == "waived"
    assert before[1].endswith("; not run: sources critical")
    # Also where a retry of the whole date has tried nothing of it, for the same reason
    if is_retried:
        retry(world)
        assert ended(world) == before
    world.executor.launched.clear()
    retry(world, "rep")
    assert (ran(world), ended(world)) == (["rep"], before)


@pytest.mark.parametrize("name", ["rep", "main"])
def test_a_retry_of_one_processor_keeps_what_a_fallback_replaces(tmp_path, name):
    calc = phase("calc", processor("main", fallbacks=["alt"]), processor("alt", priority="fallback"))
    world = waived(tmp_path, pipeline(calc, phase("fin", processor("rep"))), lacks=("main",))
    before = ended(world)
    assert before[1].startswith("main: replaced by alt: ")
    retry(world, name)
    assert (set(ran(world)), ended(world)) == ({name}, before)


def test_a_failed_date_that_goes_on_keeps_what_it_went_without(tmp_path):
    # Given a date that went without an output and failed in its next state
    world = waived(tmp_path)
    world.script = lambda job: Work()
    retry(world, "rep")
    assert ended(world)[0] == "exhausted"
    world.executor.launched.clear()
    # When its last output is accepted, then nothing of it runs once more
    world.commands.accept_dates(DateQuery(dates=(OPENER,)), ["rep"], by=ME, reason="late")
    world.run(limit=200)
    assert (ran(world), ended(world)) == ([], ("waived", f"{NO_DATA}; rep: accepted by me: late"))


def test_an_acceptance_says_that_a_date_passes_already_and_an_operator_may_name_what_it_lacks(tmp_path):
    world = waived(tmp_path)
    query = DateQuery(dates=(OPENER,))
    (answer,) = world.commands.accept_dates(query, [], by=ME, reason="late").answers
    passes = "passes without opt already; name a processor to accept its output for later requests too"
    assert (answer.changed, answer.reason) == (False, passes)
    assert world.commands.accept_dates(query, ["opt"], by=ME, reason="late").changed == [OPENER]
    (answer,) = world.commands.accept_dates(query, [], by=ME, reason="late").answers
    assert answer.reason == "there is no gap to accept"
