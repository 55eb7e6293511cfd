"""The engine compares rows with the complete dates before: stored ones, and those of the same answer."""

import datetime as dt
from pathlib import Path

from backfilld.state.store import checks
from tests.factories import phase, pipeline, processor
from tests.simulation.world import World

FIRST = dt.date(2021, 10, 19)
DATES = [FIRST + dt.timedelta(days=n) for n in range(10)]
SHAPE = pipeline(
    phase(
        "raw",
        processor("box", expect={"volume": {"days_back": 9, "min_days": 5, "per": "games", "min": 0.7}}),
    ),
    jobs={"max_attempts": 1},
    history=None,
)


def world_of(folder: Path) -> World:
    world = World(SHAPE, dict.fromkeys(DATES, 2), folder)
    for date in DATES:
        world.fill("box", date, rows=100)
    world.fill("box", DATES[8], rows=50)
    return world


def verdicts(world: World) -> dict[int, str]:
    with world.db.read() as tx:
        found = checks.for_dates(tx, DATES)
    return {n: found[date]["box"].verdict.value for n, date in enumerate(DATES) if found[date]}


def test_dates_of_one_answer_are_compared_with_each_other(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.enqueue(DATES[0], DATES[-1])
    world.settle()
    assert verdicts(world) == {n: "partial" if n == 8 else "complete" for n in range(10)}


def test_a_date_is_compared_with_stored_verdicts_of_an_earlier_request(tmp_path: Path) -> None:
    # Given seven dates that are done
    world = world_of(tmp_path)
    world.enqueue(DATES[0], DATES[6])
    world.run()
    # When a later date with half of the rows is enqueued, whose job writes one row
    world.enqueue(DATES[8], DATES[8])
    world.settle()
    # Then it is run once, and what it leaves is partial as well
    assert verdicts(world)[8] == "partial"
    world.run()
    assert [result for _, result in world.attempts(DATES[8])] == ["exited 0"]
    assert world.dates()[DATES[8]].outcome == "exhausted"


def test_a_date_without_enough_dates_before_is_complete_and_says_so(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.enqueue(DATES[8], DATES[8])
    world.run()
    with world.db.read() as tx:
        check = checks.for_dates(tx, [DATES[8]])[DATES[8]]["box"]
    assert check.verdict.value == "complete"
    assert check.reason == "volume not judged: 0 complete dates in the 9 days before, at least 5 needed"
