"""What a warehouse with the capability `write_stamp` must answer."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

from backfilld.daemon.events import ForeignWrites
from backfilld.daemon.executors.adapter import Job
from tests.conformance.builders import NEXT, box, rows, stamps
from tests.factories import phase, processor
from tests.integration.warehouses import DAY, House
from tests.simulation.world import Work, World

WEEK = 7 * 86400.0


def nothing() -> None:
    """What nobody does."""


def backfilled(house: House, folder: Path, meanwhile: Callable[[], None] = nothing) -> World:
    """DAY and NEXT, done by a daemon that queries the warehouse, and a sweep a week later.

    Something happens once they are done, before any sweep.
    """
    phases = [phase(f"of_{name}", processor(name, date_column="game_date")) for name in ("box", "summary")]
    for table in ("nba.box", "nba.summary"):
        house.put(table, rows(1, date=NEXT + dt.timedelta(days=1)))
    world = World(house.pipeline(*phases, history=None), {DAY: 1, NEXT: 1}, folder)
    world.warehouse.evidence = house.open(*phases, history=None).evidence  # type: ignore[method-assign]

    def script(job: Job) -> Work:
        table = f"nba.{job.env['BACKFILLD_PROCESSOR']}"
        date = dt.date.fromisoformat(job.env["BACKFILLD_DATES"])
        return Work(effect=lambda: house.put(table, rows(2, date=date)))

    world.script = script
    world.enqueue(DAY, NEXT)
    world.run()
    assert [row.outcome for row in world.dates().values()] == ["complete", "complete"]
    meanwhile()
    world.time += WEEK
    assert world.engine.sweeper.run() == 2
    return world


def found(world: World) -> tuple[list[tuple[str, tuple[dt.date, ...]]], set[dt.date]]:
    """The foreign writes that were reported, and the stale dates."""
    writes = [(e.processor, e.dates) for e in world.events if isinstance(e, ForeignWrites)]
    return writes, {date for date, row in world.dates().items() if row.stale_at is not None}


class WriteStampSuite:
    """The tests that a warehouse inherits besides, if its kind has the capability `write_stamp`."""

    def test_a_write_stamp_stays_while_nothing_is_written(self, house: House) -> None:
        house.put("nba.box", rows(2) + rows(2, date=NEXT))
        assert stamps(house) == stamps(house)

    def test_a_write_stamp_changes_when_equal_rows_are_written_and_on_no_other_date(
        self, house: House
    ) -> None:
        house.put("nba.box", rows(2) + rows(2, date=NEXT))
        before = stamps(house)
        house.rewrite("nba.box", DAY)
        after = stamps(house)
        assert after[DAY] != before[DAY]
        assert after[NEXT] == before[NEXT]

    def test_a_date_without_rows_has_a_write_stamp_that_changes_with_the_first_ones(
        self, house: House
    ) -> None:
        house.put("nba.box", rows(2))
        before = stamps(house)
        house.put("nba.box", rows(2, date=NEXT))
        after = stamps(house)
        assert None not in (before[NEXT], after[NEXT])
        assert (after[NEXT] == before[NEXT], after[DAY] == before[DAY]) == (False, True)

    def test_the_query_of_a_gate_reads_the_write_stamp_of_a_date(self, house: House) -> None:
        house.put("nba.box", rows(2))
        wanted = {"box": [DAY, NEXT]}
        answers = house.open(box(), history=None).evidence(wanted, purpose="gate")
        assert {date: evidence.write_stamp for (_, date), evidence in answers.items()} == stamps(house)

    def test_a_write_before_the_first_revalidation_is_noticed(self, house: House, tmp_path: Path) -> None:
        world = backfilled(house, tmp_path, lambda: house.rewrite("nba.box", DAY))
        assert found(world) == ([("box", (DAY,))], {DAY})

    def test_attempts_and_their_neighbours_are_no_foreign_writes(self, house: House, tmp_path: Path) -> None:
        assert found(backfilled(house, tmp_path)) == ([], set())

    def test_a_write_of_what_nothing_is_computed_from_makes_nothing_stale(
        self, house: House, tmp_path: Path
    ) -> None:
        world = backfilled(house, tmp_path, lambda: house.rewrite("nba.summary", NEXT))
        assert found(world) == ([("summary", (NEXT,))], set())
