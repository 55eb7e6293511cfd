"""Writes by others between a gate and the first revalidation, with the write stamps of real warehouses."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backfilld.daemon.event_types import ForeignWrites
from tests.conformance.builders import NEXT, box, rows, stamps
from tests.factories import phase, processor
from tests.integration.iceberg_house import IcebergHouse
from tests.integration.postgresql_house import PostgresqlHouse
from tests.integration.warehouses import DAY, House, LakeHouse
from tests.simulation.world import Work, World

WEEK = 7 * 86400.0


@pytest.fixture(params=["lake", "iceberg", pytest.param("postgresql", marks=pytest.mark.packages)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "postgresql":
        house = PostgresqlHouse(request.getfixturevalue("postgresql_warehouse"), tmp_path)
    else:
        house = {"lake": LakeHouse, "iceberg": IcebergHouse}[request.param](tmp_path)
    yield house
    house.close()


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
    world.warehouse.evidence = house.open(*phases, history=None).evidence

    def script(job) -> Work:
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


def test_the_query_of_a_gate_reads_the_write_stamp_of_a_date(house):
    house.put("nba.box", rows(2))
    answers = house.open(box(), history=None).evidence({"box": [DAY, NEXT]}, purpose="gate", stamps={})
    assert {date: evidence.write_stamp for (_, date), evidence in answers.items()} == stamps(house)


def test_a_write_before_the_first_revalidation_is_noticed(house, tmp_path):
    world = backfilled(house, tmp_path, lambda: house.rewrite("nba.box", DAY))
    assert found(world) == ([("box", (DAY,))], {DAY})


def test_attempts_and_their_neighbours_are_no_foreign_writes(house, tmp_path):
    assert found(backfilled(house, tmp_path)) == ([], set())


def test_a_write_of_what_nothing_is_computed_from_makes_nothing_stale(house, tmp_path):
    world = backfilled(house, tmp_path, lambda: house.rewrite("nba.summary", NEXT))
    assert found(world) == ([("summary", (NEXT,))], set())
