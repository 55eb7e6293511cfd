"""An output accepted after the retry that withdrew its waiver: the date passes, and no job of it runs."""

import datetime as dt
import itertools

import pytest

from backfilld.daemon.engine.bulk_request import DateQuery
from backfilld.state.records import Mark
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import transitions
from backfilld.state.store.date_filters import DateFilter
from tests.factories import phase, pipeline, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.test_cascade import causes, launched, stale
from tests.simulation.world import ME, Work, World

DAY = dt.date(2021, 10, 20)
DAYS = [DAY + dt.timedelta(days=n) for n in (-1, 0, 1)]
KEY = str(DAY)


def shape(priority="critical", **jobs):
    return pipeline(
        phase("raw", processor("src")),
        phase("marts", processor("opt", priority=priority)),
        phase("out", processor("rep")),
        jobs=jobs,
    )


def opt_does(world: World, *works: Work) -> None:
    """What the jobs of `opt` do on the date: each of these once, then the last of them."""
    left = itertools.chain(works[:-1], itertools.repeat(works[-1]))

    def script(job):
        is_opt = (job.env["BACKFILLD_DATE"], job.env["BACKFILLD_PROCESSOR"]) == (KEY, "opt")
        return next(left) if is_opt else world.well(job)

    world.script = script


def run(world: World) -> list[str]:
    """What runs of the date until nothing can happen."""
    world.executor.launched.clear()
    world.run()
    return [name for date, name in launched(world) if date == KEY]


def accept(world: World, reason: str, **query) -> list[str]:
    """Accept `opt`, and run what follows."""
    if query:
        world.commands.accept_dates(
            DateQuery(dates=(DAY,), more=DateFilter(**query)), (), by=ME, reason=reason
        )
    else:
        world.commands.accept(DAY, "opt", by=ME, reason=reason)
    return run(world)


def passed(world: World) -> tuple[str, str]:
    row = world.dates()[DAY]
    return row.outcome, row.reason


def retry_stale(world: World) -> None:
    assert retry_marked(world.commands, Mark.STALE, DAYS[0], DAYS[-1]) == [DAY]


def retry_with_cascade(world: World) -> None:
    world.commands.retry_date(DAY, by=ME, cascades=True)


RETRIES = [retry_stale, retry_with_cascade]


def stale_with_waiver(tmp_path, **jobs) -> World:
    """`opt` has left nothing and was accepted, and its input has run again since."""
    world = World(shape(**jobs), dict.fromkeys(DAYS, 5), tmp_path)
    opt_does(world, Work())
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    accept(world, "first")
    return with_new_input(world)


def with_new_input(world: World) -> World:
    world.time += 3600
    world.commands.retry_processor(DAY, "src", by=ME)
    assert run(world) == ["src"]
    assert stale(world) == [DAY]
    return world


@pytest.mark.parametrize("retry", RETRIES)
@pytest.mark.parametrize("query", [{}, {"verdicts": (Verdict.NO_DATA,)}])
@pytest.mark.parametrize("plain", [False, True])
def test_what_is_accepted_after_a_failed_cascade_passes_without_a_job(tmp_path, retry, query, plain):
    # Given a cascade that withdrew a waiver, and that failed; and perhaps a plain retry since
    world = stale_with_waiver(tmp_path)
    retry(world)
    assert run(world)[:2] == ["opt", "opt"]
    assert passed(world)[0] == "blocked"
    if plain:
        world.commands.retry_date(DAY, by=ME)
        run(world)
        assert passed(world)[0] == "blocked"
    # When the output is accepted, then the date passes without it
    assert "opt" not in accept(world, "third", **query)
    assert passed(world) == ("waived", "opt: accepted by me: third")
    with world.db.read() as tx:
        moves = transitions.history(tx, DAY)
    assert [move.reason for move in moves if move.actor == "me"][-1] == "gap of opt accepted: third"
    # And nothing of it is stale: it has run since
    assert stale(world) == []


@pytest.mark.parametrize("retry", RETRIES)
def test_what_is_accepted_after_a_failed_rewrite_passes_and_stays_stale(tmp_path, retry):
    # Given rows from before the change, and a rewrite of them that fails
    world = World(shape(breaker_threshold=100), dict.fromkeys(DAYS, 5), tmp_path)
    world.enqueue(DAYS[0], DAYS[-1])
    world.run()
    with_new_input(world)
    opt_does(world, Work(code=1))
    retry(world)
    assert run(world) == ["opt"] * 3
    # When they are accepted, then the date passes with them, and says that they are old
    assert "opt" not in accept(world, "good enough")
    assert passed(world) == ("waived", "opt: accepted by me: good enough")
    assert (DAY, "src") in causes(world, DAY)["opt"]
    # And a further retry of what is stale withdraws that
    retry_stale(world)
    assert run(world) == ["opt"] * 3


def test_what_is_accepted_is_not_waited_for_although_its_processor_is_held(tmp_path):
    world = stale_with_waiver(tmp_path, breaker_threshold=2)
    for hold in ("first", "second"):
        retry_stale(world) if hold == "first" else world.commands.retry_date(DAY, by=ME)
        run(world)
    world.commands.hold("processor", "opt", by=ME, reason="no data")
    accept(world, "third")
    assert passed(world) == ("waived", "opt: accepted by me: third")


@pytest.mark.parametrize("mode", [{}, {"force": True}, {"cascades": True}])
def test_what_is_accepted_between_a_retry_and_its_begin_stays_accepted(tmp_path, mode):
    # Given a retry that withdrew a waiver, and has not begun
    world = stale_with_waiver(tmp_path)
    world.commands.retry_date(DAY, by=ME, **mode)
    # When the output is accepted again, then no job of it runs
    assert "opt" not in accept(world, "third")
    assert passed(world) == ("waived", "opt: accepted by me: third")


def test_what_is_accepted_while_its_cascade_runs_an_input_stays_accepted(tmp_path):
    # Given a cascade whose source is missing, and is being written
    world = stale_with_waiver(tmp_path)
    world.fill("src", DAY, rows=0)
    world.commands.retry_date(DAY, by=ME, cascades=True)
    world.executor.launched.clear()
    while (KEY, "src") not in launched(world):
        assert world.step()
    # When the output that it makes stale is accepted meanwhile
    assert "opt" not in accept(world, "third")
    assert passed(world) == ("waived", "opt: accepted by me: third")


@pytest.mark.parametrize("live", [False, True])
def test_what_is_accepted_after_a_forced_request_and_before_it_begins_stays_accepted(tmp_path, live):
    # Given an accepted output, and a request that forces it and names its waiver
    world = stale_with_waiver(tmp_path)
    if live:
        world.commands.retry_date(DAY, by=ME)
        world.commands.accept(DAY, "opt", by=ME, reason="second")
    details = world.enqueue(DAY, DAY, force=True).details
    assert [detail.outcome for detail in details] == ["joined" if live else "enqueued"]
    assert "opt (accepted by me: " in details[0].reason
    # When it is accepted again, then the others run, and it does not
    world.executor.launched.clear()
    assert accept(world, "third") == ["src", "rep"]
    assert passed(world) == ("waived", "opt: accepted by me: third")


def test_a_forced_request_runs_what_was_accepted_on_a_live_date(tmp_path):
    world = stale_with_waiver(tmp_path)
    world.commands.retry_date(DAY, by=ME)
    world.commands.accept(DAY, "opt", by=ME, reason="second")
    world.enqueue(DAY, DAY, force=True)
    assert run(world) == ["src", "opt", "opt"]
    assert passed(world)[0] == "blocked"


def test_a_retry_of_one_processor_withdraws_its_waiver_at_once(tmp_path):
    # Given an accepted output that runs again alone, and leaves nothing
    world = stale_with_waiver(tmp_path)
    assert "opt (accepted by me: first)" in world.commands.retry_processor(DAY, "opt", by=ME)
    # When it is accepted before that has begun, then it does not run
    assert "opt" not in accept(world, "second")
    assert passed(world) == ("waived", "opt: accepted by me: second")
