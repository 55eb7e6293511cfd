"""The pipeline file changes while dates are under way: the next start takes them up as it is now."""

import datetime as dt
import itertools

import pytest

from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.state.records import Mark
from backfilld.state.store import checks, dates
from tests.factories import phase, pipeline, pipeline_data, processor
from tests.simulation.external_events import retry_marked
from tests.simulation.world import ME, Work, World

DATES = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(3)]


def shape(sources=("box", "plays"), summaries=("team",), steps=("zones", "cache")):
    return pipeline(
        phase("phase2", *map(processor, sources)),
        phase("phase3", *map(processor, summaries)),
        phase("phase4", *map(processor, steps), order="sequential", lookback=3),
    )


def started_again(folder, changed, moment):
    """A world whose daemon starts again with another pipeline file, in the middle of its work."""
    world = World(shape(), dict.fromkeys(DATES, 2), folder)
    world.enqueue(DATES[0], DATES[-1])
    for _ in range(moment):
        world.step()
    world.pipeline = changed
    world.start()
    world.run(limit=500)
    return world


@pytest.mark.parametrize("moment", [1, 4])
@pytest.mark.parametrize(
    "changed",
    [
        shape(sources=("box", "plays", "props")),
        shape(sources=("box",)),
        shape(summaries=("team", "player")),
        shape(steps=("zones", "cache", "features")),
        shape(steps=("zones", "shots", "cache")),
        shape(steps=("cache",)),
        shape(steps=("cache", "zones")),
    ],
)
def test_dates_under_way_get_all_that_the_changed_file_asks_for_and_nothing_twice(tmp_path, changed, moment):
    # Given no date that has ended yet, when the daemon starts again with the changed file
    world = started_again(tmp_path, changed, moment)
    # Then every date is done by what the file says now, and no job wrote what was there already
    for date, row in world.dates().items():
        assert row.outcome == "complete"
        assert {name for name, filled in world.warehouse.rows if filled == date} >= set(changed.processors)
        names = [name for name, _ in world.attempts(date)]
        assert len(names) == len(set(names))


def test_what_was_forced_and_has_run_is_not_run_once_more(tmp_path):
    # Given complete dates that somebody forces, when the file gains a processor in the middle of it
    world = World(shape(), dict.fromkeys(DATES, 2), tmp_path)
    for name, date in itertools.product(world.pipeline.processors, DATES):
        world.fill(name, date)
    world.enqueue(DATES[0], DATES[-1], force=True)
    for _ in range(2):
        world.step()
    world.pipeline = shape(summaries=("team", "player"))
    world.start()
    world.run(limit=500)
    # Then each of the file's processors has run once, as was asked
    for date, row in world.dates().items():
        assert row.outcome == "complete"
        assert sorted(name for name, _ in world.attempts(date)) == sorted(world.pipeline.processors)


def test_a_done_date_that_lacks_a_new_output_stays_done_and_is_a_hole_until_it_is_retried(tmp_path):
    # Given a first date that is done, when the phase before the sequential one has a new processor
    world = started_again(tmp_path, shape(summaries=("team", "player")), 6)
    # Then it stays done, and the later ones wait for it by name
    first, *later = world.dates().values()
    assert first.state == "done"
    assert {row.waiting_text for row in later} == {f"{DATES[0]} in phase3"}
    # And a retry fills the hole
    world.commands.retry_date(DATES[0], by=ME)
    world.run(limit=500)
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def done_before(world, changed, broken=()):
    """What dates are missing that were done by the file as it was, once the daemon has the changed one."""
    world.enqueue(DATES[0], DATES[-1])
    world.run(limit=500)
    world.executor.launched.clear()
    world.warehouse.broken.update(broken)
    world.pipeline = changed
    world.start()
    for _ in range(3):  # a table that cannot be queried is queried again and again
        world.step()
    return {date: row.regressed for date, row in world.dates().items()}


@pytest.mark.parametrize(
    ("before", "changed", "concerned"),
    [
        ({}, {}, DATES),
        ({}, {"since": DATES[1]}, DATES[1:]),
        ({}, {"until": DATES[0]}, DATES[:1]),
        ({"since": DATES[2]}, {"since": DATES[1]}, DATES[1:2]),
        ({}, {"days": "tuesdays"}, DATES[:1]),
        ({"days": "wednesdays"}, {"days": "tuesdays"}, DATES[:1]),
    ],
    ids=["added", "added with since", "added with until", "earlier since", "added with days", "other days"],
)
def test_done_dates_of_which_the_changed_file_expects_more_are_regressed_and_run_it_on_request(
    tmp_path, before, changed, concerned
):
    # Given done dates, when the file expects an output of them that it did not expect when they ended
    days = [{"name": "tuesdays", "weekdays": ["tue"]}, {"name": "wednesdays", "weekdays": ["wed"]}]
    box, team = phase("phase2", processor("box")), processor("team")
    calendar = {**pipeline_data()["calendar"], "days": days}
    old = [processor("player", **before)] if before else []
    world = World(
        pipeline(box, phase("phase3", team, *old), calendar=calendar), dict.fromkeys(DATES, 2), tmp_path
    )
    new = phase("phase3", team, processor("player", **changed))
    # Then these dates say so, stay done, and nothing runs
    missing = done_before(world, pipeline(box, new, calendar=calendar))
    never_ran = "player is never_ran: no rows, no run recorded"
    assert missing == {date: never_ran if date in concerned else "" for date in DATES}
    assert {row.state for row in world.dates().values()} == {"done"}
    assert not world.executor.launched
    # And a retry of them runs that output alone
    assert retry_marked(world.commands, Mark.REGRESSED, DATES[0], DATES[-1]) == list(concerned)
    world.run(limit=500)
    assert {job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched} == {"player"}
    assert {row.regressed for row in world.dates().values()} == {""}


def with_rules(**expect):
    """One table with rules, and one that is computed from it."""
    return pipeline(
        phase("phase2", processor("box", expect=expect)),
        phase("phase3", processor("team", expect={"rows": [1, 9]})),
    )


def restarted(world, changed):
    world.pipeline = changed
    world.start()


@pytest.mark.parametrize(
    ("tightened", "others", "reason"),
    [
        ({"rows": [5, 9]}, 5, "box is partial: 3 of at least 5 rows"),
        ({"rows": [1, 2]}, 2, "box is excess: 3 rows, at most 2 for 2 games"),
        ({"rows_per": {"games": [2, 2]}}, 4, "box is partial: 3 of 4 rows"),
        ({"ramp": [{"until_day": 9, "rows": [5]}]}, 5, "box is partial: 3 of at least 5 rows"),
        ({"rows": [5, 9], "volume": {"min": 0.1}}, 5, "box is partial: 3 of at least 5 rows"),
    ],
    ids=["more rows", "fewer rows", "rows per game", "a ramp", "beside a rule that needs other figures"],
)
def test_a_rule_of_rows_that_is_tightened_counts_for_done_dates_at_once_and_without_a_query(
    tmp_path, tightened, others, reason
):
    # Given done dates, one of them with another number of rows
    world = World(with_rules(rows=[1, 9]), dict.fromkeys(DATES, 2), tmp_path)
    for date in DATES:
        world.fill("box", date, rows=3 if date == DATES[1] else others)
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    questions = world.warehouse.questions
    # When the file has another rule, by which that date is not complete
    restarted(world, with_rules(**tightened))
    # Then it is regressed at once, by the row count that is stored, and stays done
    assert world.warehouse.questions == questions
    assert [row.regressed for row in world.dates().values()] == ["", reason, ""]
    assert world.dates()[DATES[1]].outcome == "complete"
    # When the file is as before
    restarted(world, with_rules(rows=[1, 9]))
    world.settle()
    # Then it is not regressed any more, and no job has run twice
    assert [row.regressed for row in world.dates().values()] == ["", "", ""]
    assert len(world.executor.launched) == len(DATES)


def test_what_row_counts_do_not_decide_is_queried_soon_for_dates_that_are_regressed(tmp_path):
    # Given a done date that is regressed, and was repaired by another scheduler since
    world = World(with_rules(rows=[1, 9]), dict.fromkeys(DATES, 2), tmp_path)
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    world.fill("box", DATES[1], rows=0)
    world.engine.validator.revalidate(list(world_checks(world).values()))
    world.fill("box", DATES[1], rows=3)
    regressed = "box is no_data"
    assert world.dates()[DATES[1]].regressed.startswith(regressed)
    # When the file changes while its table cannot be queried
    world.warehouse.broken = {"box": "no such column"}
    restarted(world, with_rules(rows=[1, 8]))
    world.settle()
    # Then it stays regressed, and is complete with the answer
    assert world.dates()[DATES[1]].regressed.startswith(regressed)
    world.warehouse.broken = {}
    world.run()
    assert world.dates()[DATES[1]].regressed == ""


def world_checks(world):
    with world.db.read() as tx:
        stored = checks.for_dates(tx, DATES)
    return {(date, name): check for date, by_name in stored.items() for name, check in by_name.items()}


def test_done_dates_are_complete_where_the_new_output_is_there_already(tmp_path):
    world = World(shape(), dict.fromkeys(DATES, 2), tmp_path)
    for date in DATES:
        world.fill("player", date)
    assert set(done_before(world, shape(summaries=("team", "player"))).values()) == {""}


def test_a_new_output_whose_table_cannot_be_queried_is_missing_and_an_old_one_is_not(tmp_path):
    # Given done dates, when a table that is new and one that is known cannot be queried
    world = World(shape(), dict.fromkeys(DATES, 2), tmp_path)
    broken = {"player": "no such table", "team": "permission denied"}
    missing = done_before(world, shape(summaries=("team", "player")), broken)
    assert set(missing.values()) == {"player is unknown: no such table"}


@pytest.mark.parametrize(
    ("changed", "answers", "ran"),
    [
        (shape(summaries=("team", "player")), {"enqueued": 3}, {"player"}),
        (shape(sources=("box",)), {"already_done": 3}, set()),
    ],
    ids=["an output more", "an output less"],
)
def test_done_dates_asked_for_again_get_what_the_changed_file_has_more(tmp_path, changed, answers, ran):
    # Given dates that are done, when the file has changed and they are asked for again
    world = started_again(tmp_path, changed, 500)
    world.executor.launched.clear()
    assert world.enqueue(DATES[0], DATES[-1]).outcomes == answers
    world.run(limit=500)
    # Then what is new runs, once for each date, and what is gone is no reason to run anything
    assert {job.env["BACKFILLD_PROCESSOR"] for job in world.executor.launched} == ran
    assert world.enqueue(DATES[0], DATES[-1]).outcomes == {"already_done": 3}


def due(world):
    """The dates that the engine would look at now."""
    with world.db.read() as tx:
        return [row.date for row in dates.due(tx, world.time, 100)]


def test_a_restart_by_the_same_file_looks_at_no_date_and_one_by_another_file_at_all_that_are_live(tmp_path):
    # Given dates of which each waits for something, when the daemon starts again
    world = World(shape(), dict.fromkeys(DATES, 2), tmp_path)
    world.enqueue(DATES[0], DATES[-1])
    world.settle()
    world.start()
    # Then nothing has changed for any of them, and they go on
    assert due(world) == []
    # But a changed file may have changed what each waits for
    world.pipeline = shape(summaries=("team", "player"))
    world.start()
    assert due(world) == DATES
    world.run(limit=500)
    assert {row.outcome for row in world.dates().values()} == {"complete"}


def test_a_date_ends_only_after_the_attempt_of_a_processor_that_the_file_has_lost(tmp_path):
    # Given a last step at work
    world = World(shape(), dict.fromkeys(DATES, 2), tmp_path)
    world.enqueue(DATES[0], DATES[0])
    while not any(one.job.env["BACKFILLD_PROCESSOR"] == "cache" for one in world.executor.alive.values()):
        world.step()
        world.settle()
    # When the daemon starts again with a file that no longer has it
    world.pipeline = shape(steps=("zones",))
    world.start()
    world.settle()
    # Then the date waits for it, by its name, and ends after it
    with world.db.read() as tx:
        row = dates.get(tx, DATES[0])
        assert waiting_on(tx, world.context, [row])[DATES[0]].startswith("attempt 5 of cache")
    world.run(limit=500)
    assert world.dates()[DATES[0]].outcome == "complete"


@pytest.mark.parametrize("first", [DATES[0], DATES[-1]])
def test_what_the_changed_file_expects_of_dates_that_are_not_live_is_missing_to_later_ones(tmp_path, first):
    # Given a failed date that needs earlier ones, which failed or were never enqueued and have no balance
    def books(**keys):
        needs = [{"of": "box"}, {"self": True, "days_back": 2}]
        balance = processor("balance", needs=needs, **keys)
        raw = phase("raw", processor("box"))
        return pipeline(raw, phase("books", balance), jobs={"breaker_threshold": 0})

    last = DATES[-1]
    world = World(books(since=last), dict.fromkeys(DATES, 2), tmp_path)
    world.script = lambda job: Work(code=1)
    world.enqueue(first, last)
    world.run(limit=500)
    assert world.dates()[last].state == "failed"
    # When the file expects a balance of them too, and the date is retried
    world.pipeline, world.script = books(), world.well
    world.start()
    world.commands.retry_date(last, by=ME)
    world.run(limit=500)
    # Then it waits for the first of them by name
    assert world.attempts(last)[-1] == ("box", "exited 0")
    with world.db.read() as tx:
        (told,) = waiting_on(tx, world.context, world.live()).values()
    assert told.startswith(f"blocked by {DATES[0]}")
