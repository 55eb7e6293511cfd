"""Outputs that are computed from stale ones are stale too and name their causes; the debt is paid once."""

import datetime as dt
from collections import Counter

import pytest

from backfilld.daemon.reports.stale_reasons import stale_reason
from backfilld.state.records import Mark
from backfilld.state.store import stale_marks
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api
from tests.integration.command_line import beside
from tests.simulation.external_events import retry_marked
from tests.simulation.test_cascade import (
    DAYS,
    FIRST,
    LAST,
    NEXT,
    REPAIRED,
    SEASON,
    causes,
    damage,
    done,
    launched,
    shape,
    stale,
    steps,
)
from tests.simulation.world import ME, Work, World

NEW = LAST + dt.timedelta(days=1)
WITH_NEW = {**SEASON, NEW: 5}


def sentence(world: World, date: dt.date) -> str:
    with world.db.read() as tx:
        return stale_reason(stale_marks.stale_outputs(tx, [date])[date]) or ""


def repair(world: World, name: str, date: dt.date) -> None:
    """The rows of an output are lost, and written again by a plain retry of the date."""
    damage(world, name, date)
    world.commands.retry_date(date, by=ME)
    world.run()
    world.executor.launched.clear()
    world.time += 60


def run_new_day(world: World, date: dt.date = NEW) -> None:
    world.enqueue(date, date)
    world.run()
    assert world.dates()[date].outcome == "complete"


def pay(world: World) -> list[tuple[str, str]]:
    """What a retry of all that is stale runs."""
    world.executor.launched.clear()
    retry_marked(world.commands, Mark.STALE, FIRST, NEW)
    world.run()
    return launched(world)


@pytest.fixture
def world(tmp_path):
    world = World(shape(), WITH_NEW, tmp_path)
    world.enqueue(FIRST, LAST)
    world.run()
    world.executor.launched.clear()
    world.time += 3600
    return world


def test_a_new_day_computed_from_a_stale_input_does_not_wait_for_it_and_is_stale_by_name(world):
    repair(world, "box", REPAIRED)
    # When a new day needs the summaries of that date, which are stale
    run_new_day(world)
    # Then it is done, and says from what it was computed
    of_date = [(REPAIRED, "player"), (REPAIRED, "team")]
    assert causes(world, NEW) == {"zones": of_date, "cache": of_date}
    assert sentence(world, NEW) == (
        f"cache, zones: computed from player of {REPAIRED}, team of {REPAIRED}, which are stale"
    )
    # And the debt is paid once, in order: the summaries, then each later date
    ran = pay(world)
    assert sorted(ran[:2]) == [(str(REPAIRED), "player"), (str(REPAIRED), "team")]
    assert sorted(ran[2:]) == sorted(steps(*DAYS[2:], NEW))
    assert stale(world) == []


def test_what_is_complete_on_a_date_whose_input_is_stale_carries_the_mark_on(world):
    # Given stale summaries, of which one passes the gate of a later retry without running
    repair(world, "box", REPAIRED)
    damage(world, "cache", REPAIRED)
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    # Then only what was lost ran, and all of the date that was computed from stale rows says so
    assert launched(world) == [(str(REPAIRED), "cache")]
    assert set(causes(world, REPAIRED)) == {"team", "player", "zones", "cache"}


def test_an_output_computed_while_its_input_becomes_stale_is_stale(world):
    # Given a new day whose last step runs
    world.enqueue(NEW, NEW)
    while (str(NEW), "cache") not in launched(world):
        assert world.step()
    # When the source of an earlier date is written again meanwhile
    world.fill("box", REPAIRED, rows=2)
    world.time += 8 * 86400
    world.engine.sweeper.run()
    world.run()
    # Then what the new day has of it is stale, by the summaries that are
    assert (REPAIRED, "team") in causes(world, NEW)["cache"]


def test_a_balance_computed_from_a_stale_balance_is_stale_and_waits_only_while_that_is_rerun(tmp_path):
    days = {FIRST + dt.timedelta(days=n): 5 for n in range(3)}
    ledger = pipeline(
        phase("raw", processor("moves")), phase("books", processor("balance", depends_on_past=True))
    )
    world = World(ledger, days, tmp_path)
    first, second, third = sorted(days)
    world.enqueue(first, second)
    world.run()
    world.time += 3600
    repair(world, "moves", first)
    run_new_day(world, third)
    assert causes(world, second) == {"balance": [(first, "balance")]}
    of_both = {"balance": [(first, "balance"), (second, "balance")]}
    assert causes(world, third) == of_both
    # When the third runs again while those are stale still, then it says so again
    world.commands.retry_date(third, by=ME, force=True)
    world.run()
    assert causes(world, third) == of_both
    # When the debt is paid, each balance is computed once, after the one before it
    assert pay(world) == [(str(day), "balance") for day in (first, second, third)]
    assert stale(world) == []


def test_each_output_names_the_repairs_of_its_own_inputs(tmp_path):
    world = done(
        World(
            pipeline(
                phase("raw", processor("orders"), processor("visits")),
                phase(
                    "marts",
                    processor("revenue", needs=[{"of": "orders", "days_back": 1}]),
                    processor("traffic", needs=[{"of": "visits", "days_back": 1}]),
                    processor("rate", needs=[{"of": "orders"}, {"of": "visits", "days_back": 1}]),
                ),
            ),
            SEASON,
            tmp_path,
        )
    )
    # Given repairs of two inputs that meet on one date
    repair(world, "orders", REPAIRED)
    repair(world, "visits", NEXT)
    # Then each output of that date names what it was computed from
    assert causes(world, NEXT) == {
        "revenue": [(REPAIRED, "orders"), (NEXT, "visits")],
        "traffic": [(NEXT, "visits")],
        "rate": [(NEXT, "visits")],
    }


def test_a_retry_of_what_is_stale_runs_nothing_beside_it_in_a_parallel_phase(tmp_path):
    world = done(
        World(
            pipeline(
                phase("raw", processor("orders"), processor("visits")),
                phase(
                    "marts",
                    processor("revenue", needs=[{"of": "orders", "days_back": 1}]),
                    processor("traffic", needs=[{"of": "visits", "days_back": 1}]),
                ),
                phase("export", processor("report")),
            ),
            SEASON,
            tmp_path,
        )
    )
    with world.db.write() as tx:
        stale_marks.mark_stale(
            tx, (REPAIRED, "orders"), stale_marks.Span(REPAIRED, NEXT), world.time, ["revenue"]
        )
    world.time += 60
    assert stale(world) == [REPAIRED, NEXT]
    # Then the marked outputs run, and what is computed from them
    ran = pay(world)
    assert Counter(ran) == Counter(
        (str(date), name) for date in (REPAIRED, NEXT) for name in ("revenue", "report")
    )
    assert stale(world) == []


def test_a_retry_of_one_stale_date_leaves_other_debt_alone(tmp_path):
    world = done(World(shape(lookback=1), SEASON, tmp_path))
    repair(world, "team", FIRST)
    repair(world, "team", REPAIRED)
    assert stale(world) == [*DAYS[:2], REPAIRED, NEXT]
    world.executor.launched.clear()
    retry_marked(world.commands, Mark.STALE, FIRST, FIRST)
    world.run()
    assert sorted(launched(world)) == sorted(steps(FIRST))
    assert stale(world) == [DAYS[1], REPAIRED, NEXT]


def test_a_failed_rerun_of_what_is_stale_leaves_complete_outputs_in_reach(world):
    # Given stale summaries, because another writer changed their source, and a rerun that fails
    world.fill("box", REPAIRED, rows=2)
    world.time += 8 * 86400
    world.engine.sweeper.run()
    assert set(causes(world, REPAIRED)) == {"team", "player", "zones", "cache"}
    world.script = lambda job: Work(code=1)
    retry_marked(world.commands, Mark.STALE, REPAIRED, REPAIRED)
    world.run()
    assert world.dates()[REPAIRED].state == "failed"
    # Then what has had no turn, as its inputs failed, satisfies needs as before
    with world.db.read() as tx:
        rows = tx.exec_driver_sql(
            f"SELECT processor FROM checks WHERE date = '{REPAIRED}' AND satisfied = 0"
        ).scalars()
        assert set(rows) == {"team", "player"}


def test_a_cancelled_date_in_the_middle_keeps_later_ones_stale_and_each_answer_names_the_retry_that_helps(
    tmp_path, monkeypatch, capsys
):
    # Given a running balance, and a date in its middle that was cancelled while it lacked its report
    first, cancelled, *later = [FIRST + dt.timedelta(days=n) for n in range(4)]
    books = phase("books", processor("balance", depends_on_past=True))
    of = pipeline(phase("raw", processor("moves")), books, phase("out", processor("report")))
    world = World(of, dict.fromkeys([first, cancelled, *later], 5), tmp_path)
    world.enqueue(first, later[-1])
    world.run()
    damage(world, "report", cancelled)
    world.commands.pause_everything(by=ME, reason="")
    world.commands.cancel(world.enqueue(cancelled, cancelled).id, by=ME)
    world.run()
    world.commands.resume_everything(by=ME)
    repair(world, "moves", first)
    # When what is stale is computed again, then the answer names what it leaves out
    api = Api(world)
    with beside(api, monkeypatch, capsys) as command:
        line, _ = command("retry", "--stale").out.splitlines()
    remedy = (
        f"{cancelled}, which failed, is not run, and what is computed from stale outputs there stays stale; "
        f"backfilld retry {cancelled} --cascade"
    )
    assert line == f"3 dates put back to pending; {remedy}"
    world.run()
    # And so does each date that it keeps stale, as often as it is tried
    for _ in range(2):
        from_it = f"computed from balance of {cancelled}, which is stale"
        assert sentence(world, later[0]) == f"balance, report: {from_it}; {remedy}"
        assert stale(world) == [cancelled, *later]
        assert api.post("/v1/dates/retry", {"mark": "stale"})["failed_dates"] == [str(cancelled)]
        world.run()
    # Until that command is run
    world.commands.retry_date(cancelled, by=ME, cascades=True)
    world.run()
    assert stale(world) == []
    assert {row.state for row in world.dates().values()} == {"done"}
    assert api.post("/v1/dates/retry", {"mark": "stale"})["failed_dates"] == []


def test_a_cascade_leaves_nothing_stale_that_only_runs_after_what_it_has_computed(tmp_path):
    # Given a date whose last request selected the report alone, and an input of it that is stale
    days = [FIRST, FIRST + dt.timedelta(days=1)]
    early = processor("early", needs=[{"of": "box", "days_back": 1}])
    marts = phase("marts", early, processor("late", after=["early"]))
    of = pipeline(phase("raw", processor("box")), marts, phase("out", processor("report")))
    world = World(of, dict.fromkeys(days, 5), tmp_path)
    world.enqueue(*days)
    world.run()
    world.commands.retry_processor(days[1], "report", by=ME)
    world.run()
    repair(world, "box", FIRST)
    assert stale(world) == days
    # Then one retry of what is stale pays all of it
    pay(world)
    assert stale(world) == []


@pytest.mark.parametrize("from_stale", [False, True])
def test_what_was_computed_since_the_repair_is_not_stale_although_later_attempts_failed(tmp_path, from_stale):
    # Given a report whose input is written again while its date is done, or which is stale itself
    box, team = processor("box"), processor("team")
    report = processor("report", expect={"rows": [2, 3]}, priority="fallback", max_attempts=3)
    world = World(
        pipeline(phase("raw", box), phase("marts", team), phase("out", report)), {FIRST: 5}, tmp_path
    )
    runs = Counter[str]()

    def script(job):
        name = job.env["BACKFILLD_PROCESSOR"]
        runs[name] += 1
        rows = 2 if name == "report" and runs[name] == 1 else 1
        code = 1 if name == "report" and runs[name] > 2 else 0
        return Work(code=code, effect=lambda: None if code else world.fill(name, FIRST, rows))

    world.script = script
    run_new_day(world, FIRST)
    world.time += 3600
    repair(world, "box" if from_stale else "team", FIRST)
    assert "report" in causes(world, FIRST)
    # When it is computed again, with half of its rows, and both further attempts fail
    world.commands.retry_processor(FIRST, "report", by=ME)
    world.run()
    assert [result for name, result in world.attempts(FIRST) if name == "report"][-3:] == [
        "exited 0",
        "exited 1",
        "exited 1",
    ]
    assert world.dates()[FIRST].outcome == "waived"
    # Then it is newer than the repair, and as stale as its input
    of = [(FIRST, "team")]
    assert causes(world, FIRST) == ({"team": [(FIRST, "box")], "report": of} if from_stale else {})
    assert stale(world) == ([FIRST] if from_stale else [])


def test_what_a_failed_rerun_has_written_makes_stale_what_was_computed_before(tmp_path):
    # Given a rerun that writes and exits with 1, and a second attempt that writes nothing
    first, second = Work(code=1, effect=lambda: world.fill("box", FIRST)), Work()
    shapes = pipeline(phase("raw", processor("box", max_attempts=2)), phase("out", processor("report")))
    world = World(shapes, {FIRST: 5}, tmp_path)
    run_new_day(world, FIRST)
    world.time += 3600
    left = [first, second]
    world.script = lambda job: left.pop(0)
    world.commands.retry_date(FIRST, by=ME, force=True)
    world.run()
    assert world.dates()[FIRST].state == "failed"
    # When the date is done by the rows that are there
    world.script = world.well
    world.commands.retry_processor(FIRST, "report", by=ME)
    with world.db.read() as tx:
        assert "report" in stale_marks.stale_outputs(tx, [FIRST])[FIRST]
    # Then its report was computed from older ones until it has run again
    world.run()
    assert causes(world, FIRST) == {}
