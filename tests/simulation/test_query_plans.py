"""No statement of a running daemon reads a whole table that grows with the dates."""

import datetime as dt
import sqlite3

import pytest
from sqlalchemy import event

from backfilld.state.store import sql_helpers
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api
from tests.simulation.world import World

DATES = [dt.date(2021, 10, 19) + dt.timedelta(days=n) for n in range(3)]
GROWING = ("dates", "checks", "attempts", "attempt_dates", "transitions", "backfill_dates")
PAGES = (
    "/v1/progress",
    "/metrics",
    "/v1/attempts?status=running",
    "/v1/dates/2021-10-20",
    "/v1/dates?start=2021-10-19&end=2021-10-21",
)


@pytest.fixture
def world(tmp_path):
    shape = pipeline(
        phase("phase2", processor("box"), processor("plays")),
        phase("phase3", processor("team")),
        phase("phase4", processor("zones"), processor("cache"), order="sequential", lookback=3),
    )
    return World(shape, dict.fromkeys(DATES, 2), tmp_path)


@pytest.fixture
def plans(world, monkeypatch):
    """How SQLite goes about each statement, by statement; to be filled while the world goes on."""
    found = {}
    explaining = sqlite3.connect(world.db.path, check_same_thread=False)

    def explain(statement, parameters):
        if statement not in found and statement.split()[0] in ("SELECT", "UPDATE", "DELETE"):
            steps = explaining.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            found[statement] = [step[3] for step in steps]

    @event.listens_for(world.db._engine, "before_cursor_execute")
    def sent(connection, cursor, statement, values, context, many):
        explain(statement, values[0] if many else values)

    def prepared(*statement):
        known = prepare(*statement)
        names = [name for name, _ in known.names]
        unconverted = known._replace(names=[(name, None) for name in names])
        explain(*unconverted.filled({name: [None] if name in known.lists else None for name in names}))
        return known

    prepare = sql_helpers.prepared
    monkeypatch.setattr(sql_helpers, "prepared", prepared)
    yield found
    explaining.close()


def test_engine_and_api_read_through_an_index_whatever_grows(world, plans):
    # When dates go from nothing to done, and people look on
    world.enqueue(DATES[0], DATES[-1])
    world.run()
    client = Api(world).client
    assert {client.get(page).status_code for page in PAGES} == {200}
    # Then every statement was explained, and none reads a growing table from end to end, in any order
    assert len(plans) > 50
    orders = ("", *(f" USING INDEX sqlite_autoindex_{table}_1" for table in GROWING))
    scans = {f"SCAN {table}{order}" for table in GROWING for order in orders}
    assert {statement: plan for statement, plan in plans.items() if scans & set(plan)} == {}
