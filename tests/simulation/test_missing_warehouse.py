"""A warehouse that is not where the pipeline file says, such as a lake whose disk is not mounted."""

import datetime as dt
from pathlib import Path

import pytest

from backfilld.daemon.event_types import Incident
from backfilld.daemon.reports import progress, stuck_backfills
from backfilld.daemon.reports.waiting_on import waiting_on, with_holds
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.duckdb.settings import DuckDBSettings
from backfilld.daemon.warehouses.lake.backend import missing_lake
from backfilld.daemon.warehouses.lake.settings import LakeSettings
from backfilld.state.store import backfills, holds
from tests.integration.command_line import CommandLine
from tests.simulation.season import OPENER, SEASON, shape
from tests.simulation.world import ME, World

SOON = 10.0
"""Seconds within which the end of the cause is noticed."""
ERROR = missing_lake(Path("/data/lake"))
LAST = OPENER + dt.timedelta(days=2)


@pytest.fixture
def world(tmp_path):
    found = World(shape(), SEASON, tmp_path)
    found.warehouse.down, found.warehouse.permanent = str(ERROR), True
    yield found
    found.db.close()


def wait_for_hours(world, hours=3):
    until = world.time + hours * 3600
    while world.time < until:
        world.step()


def status(world, receipt):
    with world.db.read() as tx:
        return stuck_backfills.status(tx, world.context, backfills.get(tx, receipt.id))


def test_a_backfill_without_its_lake_is_stuck_and_says_what_helps(world):
    receipt = world.enqueue(OPENER, LAST)
    world.settle()
    name, stuck_on = status(world, receipt)
    assert name == "stuck"
    assert "there is no lake at /data/lake" in stuck_on
    assert "make the directory, mount its disk, or correct warehouse.path" in stuck_on


def test_it_goes_on_by_itself_soon_after_the_directory_is_there(world):
    # Given a lake that was missing for hours
    receipt = world.enqueue(OPENER, LAST)
    wait_for_hours(world)
    world.warehouse.down = ""
    # When no more than a moment passes
    since = world.time
    while not world.executor.launched:
        world.step()
    # Then jobs run, although nobody released anything
    assert world.time - since <= SOON
    world.run()
    assert status(world, receipt)[0] == "finished"


def test_no_date_takes_the_missing_lake_for_an_empty_one(world):
    world.enqueue(OPENER, LAST)
    wait_for_hours(world)
    assert world.executor.launched == []


def test_dates_say_that_the_warehouse_keeps_them_and_why(world):
    world.enqueue(OPENER, LAST)
    world.settle()
    with world.db.read() as tx:
        rows = with_holds(tx, world.live())
        texts = waiting_on(tx, world.context, rows).values()
        counted = progress.progress(tx, world.context).waiting
    assert {row.waiting for row in rows} == {"warehouse"}
    assert counted == {"warehouse": 3}
    assert all(text.startswith(f"the warehouse is not queried: {ERROR}") for text in texts)


def test_a_missing_lake_is_one_incident_however_often_it_is_looked_at(world):
    world.enqueue(OPENER, LAST)
    wait_for_hours(world)
    incidents = [event.kind for event in world.events if isinstance(event, Incident)]
    assert incidents == ["warehouse"]


def test_a_warehouse_without_its_tables_is_stuck_one_incident_and_queried_ever_less_often(world, monkeypatch):
    # Given tables that are all missing, which takes queries to find out
    error = WarehouseError("none of 2 tables can be read: no table a", until_corrected=True)
    queries = []

    def refuse(*args, **keys):
        queries.append(world.time)
        raise error

    monkeypatch.setattr(world.warehouse, "evidence", refuse)
    world.warehouse.down = ""
    receipt = world.enqueue(OPENER, LAST)
    wait_for_hours(world, hours=2)
    name, stuck_on = status(world, receipt)
    assert (name, str(error) in stuck_on) == ("stuck", True)
    assert [event.kind for event in world.events if isinstance(event, Incident)] == ["warehouse"]
    assert len(queries) < 40
    # When they are there
    monkeypatch.undo()
    world.run()
    assert status(world, receipt)[0] == "finished"


def test_an_outage_that_may_end_by_itself_is_not_stuck_but_says_so_as_its_reason(world):
    world.warehouse.down, world.warehouse.permanent = "connection refused", False
    receipt = world.enqueue(OPENER, LAST)
    world.settle()
    assert status(world, receipt) == ("active", None)
    with world.db.read() as tx:
        assert {row.waiting for row in with_holds(tx, world.live())} == {"warehouse"}


def test_a_hold_of_the_warehouse_by_an_operator_names_the_command_that_ends_it(world):
    world.warehouse.down = ""
    receipt = world.enqueue(OPENER, LAST)
    world.commands.hold(holds.WAREHOUSE, "", reason="migration", by=ME)
    world.settle()
    assert status(world, receipt) == (
        "stuck",
        "the warehouse is held by me: migration; backfilld release warehouse",
    )


def test_pipeline_check_warns_of_a_lake_without_a_directory_and_still_passes(tmp_path, monkeypatch, capsys):
    command = CommandLine(monkeypatch, capsys)
    file = tmp_path / "small.toml"
    file.write_text(
        'name = "small"\nwarehouse = { kind = "lake", path = "lake" }\n'
        '[[phase]]\nname = "raw"\nprocessor = [{ name = "box", table = "nba.box", command = ["true"] }]\n'
    )
    warned = command("pipeline", "check", "--pipeline", file)
    assert warned.code == 0
    assert f"{file}: warning: warehouse: there is no lake at {tmp_path}/lake" in warned.err
    assert "no error, 1 warning\n" in warned.out
    (tmp_path / "lake").mkdir()
    ended = command("pipeline", "check", "--pipeline", file)
    assert ended.err == ""
    assert "no problem found\n" in ended.out


def test_each_kind_of_warehouse_on_this_machine_knows_whether_it_is_there(tmp_path):
    lake = LakeSettings(kind="lake", path="lake")
    duckdb = DuckDBSettings(kind="duckdb", file="shop.duckdb")
    assert lake.place_problem(tmp_path).startswith(f"there is no lake at {tmp_path}/lake")
    assert duckdb.place_problem(tmp_path).startswith(f"{tmp_path}/shop.duckdb does not exist")
    (tmp_path / "lake").mkdir()
    (tmp_path / "shop.duckdb").touch()
    assert (lake.place_problem(tmp_path), duckdb.place_problem(tmp_path)) == ("", "")
