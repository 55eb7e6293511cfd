"""More processors than the 500 parts that SQLite allows a compound query, on either kind of database."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from backfilld.state.store import dates, row_mappers
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import GAMES, OPENER, Api, make_api
from tests.integration.warehouses import DAY, LakeHouse
from tests.simulation.fakes import Work
from tests.simulation.world import World

NAMES = [f"p{number}" for number in range(501)]


def test_a_date_with_five_hundred_processors_in_a_phase_is_completed_and_shown(
    tmp_path: Path, state_url: str
) -> None:
    # Given two phases of which two outputs are missing
    phases = phase("raw", *map(processor, NAMES)), phase("made", processor("last"))
    world = World(pipeline(*phases), GAMES, tmp_path, url=state_url)
    api = Api(world)
    for name in NAMES[2:]:
        api.world.fill(name, OPENER)
    api.enqueue(str(OPENER))
    api.world.run()
    # Then these alone are run
    assert {job.processor for job in api.world.executor.launched} == {*NAMES[:2], "last"}
    shown = api.get(f"/v1/dates/{OPENER}")
    assert (shown["state"], shown["outcome"], len(shown["processors"])) == ("done", "complete", 502)
    for path in (
        f"/v1/grid?start={OPENER}&end={OPENER}",
        "/v1/progress",
        "/metrics",
        "/",
        f"/dates/{OPENER}",
    ):
        assert api.client.get(path).status_code == 200, path
    world.db.close()


def test_a_wait_for_answers_about_five_hundred_outputs_names_ten_of_them(tmp_path: Path) -> None:
    api = make_api(tmp_path, made=lambda: pipeline(phase("raw", *map(processor, NAMES))))
    api.enqueue(str(OPENER))
    api.world.tick()
    waits = api.get(f"/v1/dates/{OPENER}")["waiting_on"]
    assert waits == f"the warehouse's answer about {', '.join(NAMES[:10])} and 491 more"


def test_a_processor_with_five_hundred_fallbacks_is_completed_by_the_last(tmp_path: Path) -> None:
    first = processor(NAMES[0], fallbacks=NAMES[1:], priority="important", max_attempts=1, no_data_attempts=1)
    others = [processor(name, priority="fallback") for name in NAMES[1:]]
    api = make_api(tmp_path, made=lambda: pipeline(phase("raw", first, *others)))
    for name in NAMES[1:]:
        api.world.fill(name, OPENER)
    api.world.script = lambda job: Work()
    api.enqueue(str(OPENER))
    api.world.run()
    assert [job.processor for job in api.world.executor.launched] == [NAMES[0]]
    assert api.get(f"/v1/dates/{OPENER}")["state"] == "done"


def test_a_pass_reads_the_checks_of_a_dates_state_and_of_the_next_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a date in the second of five states, which waits for a job
    phases = [phase(f"phase{n}", processor(f"first{n}"), processor(f"second{n}")) for n in range(5)]
    world = World(pipeline(*phases), GAMES, tmp_path)
    for name in ("first0", "second0", "first4"):
        world.fill(name, OPENER)
    world.enqueue(OPENER, OPENER)
    world.settle()
    assert world.dates()[OPENER].state == "phase1"
    # When it is evaluated again
    read: list[str] = []
    made = row_mappers.check
    monkeypatch.setattr(row_mappers, "check", lambda row: read.append(row.processor) or made(row))
    with world.db.write() as tx:
        dates.make_dates_due(tx, [OPENER], dates.IMMEDIATELY)
    world.tick()
    # Then what it has passed well and what is far off is not read
    assert sorted({*read}) == ["first1", "first2", "second1", "second2"]
    world.db.close()


def test_a_lake_of_five_hundred_tables_is_queried(lake_house: LakeHouse) -> None:
    lake_house.put("nba.p0", [{"game_date": DAY, "game_id": "g"}])
    (file,) = (lake_house.root / "nba" / "p0").rglob("*.parquet")
    for name in NAMES[1:]:
        partition = lake_house.root / "nba" / name / f"game_date={DAY}"
        partition.mkdir(parents=True)
        os.link(file, partition / "part-0.parquet")
    raw = phase("raw", *(processor(name, date_column="game_date") for name in NAMES))
    days = [DAY, DAY + dt.timedelta(days=1)]
    found = lake_house.open(raw, history=None).evidence(dict.fromkeys(NAMES, days), purpose="gate")
    assert {evidence.error for evidence in found.values()} == {""}
    assert [sum(found[name, day].rows or 0 for name in NAMES) for day in days] == [501, 0]
