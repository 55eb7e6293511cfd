"""What the API, the page and the command line show of stale and regressed dates, and that they run by it."""

import datetime as dt

import pytest

from backfilld.api.cli import show_date
from backfilld.state.records import Mark
from tests.integration.api_world import Api
from tests.integration.command_line import beside
from tests.simulation.external_events import retry_marked
from tests.simulation.test_cascade import (
    DAYS,
    FIRST,
    LAST,
    REPAIRED,
    SEASON,
    damage,
    done,
    launched,
    shape,
)
from tests.simulation.world import ME, Work, World


@pytest.fixture
def api(tmp_path) -> Api:
    return Api(done(World(shape(), SEASON, tmp_path)))


def test_the_api_tells_marks_and_runs_them(api):
    world = api.world
    damage(world)
    api.post(f"/v1/dates/{REPAIRED}/retry")
    world.run()
    # Given marks: each date tells its own, lists and counts agree
    told = api.get(f"/v1/dates/{LAST}")["stale"]
    assert told.startswith(f"cache, zones: computed before team of {REPAIRED} changed at 2025-")
    assert told in api.client.get(f"/dates/{LAST}").text
    shown = show_date.lines(api.get(f"/v1/dates/{LAST}"), dt.datetime.now(dt.UTC))
    assert f"  → backfilld retry {LAST} --cascade" in [line.plain for line in shown]
    assert ">4 dates</a>" in api.client.get("/").text
    listed = api.get("/v1/dates?mark=stale")["items"]
    assert [item["date"] for item in listed] == [str(date) for date in DAYS[2:]]
    assert api.get("/v1/progress")["stale"] == 4
    assert api.scrape()["backfilld_stale_dates"] == 4
    plan = api.get(f"/v1/plan?start={FIRST}&end={LAST}")
    assert [one["date"] for one in plan["stale"]] == [str(date) for date in DAYS[2:]]
    assert [(one["reason"], one["remedy"]) for one in plan["stale"]][-1] == (told, "backfilld retry --stale")
    assert not any(one["steps"] for one in plan["phases"])
    # When one is run with what hangs on it, and the rest by their mark
    api.post(f"/v1/dates/{REPAIRED}/retry", {"cascade": True})
    world.run()
    assert api.get("/v1/progress")["stale"] == 0
    assert api.post("/v1/dates/retry", {"mark": "stale"})["answers"] == []


def test_a_plan_names_what_is_stale_of_a_failed_date_and_the_command_that_runs_it(api):
    world = api.world
    damage(world)
    api.post(f"/v1/dates/{REPAIRED}/retry")
    world.run()
    world.script = lambda job: Work(code=1)
    api.post(f"/v1/dates/{LAST}/retry", {"cascade": True})
    world.run()
    assert world.dates()[LAST].state == "failed"
    last = api.get(f"/v1/plan?start={FIRST}&end={LAST}")["stale"][-1]
    assert (last["date"], last["failed"]) == (str(LAST), True)
    assert last["remedy"] == f"backfilld retry {LAST} --cascade"


def test_a_date_that_computes_again_names_what_is_still_stale_until_it_has_run_and_is_in_no_count(api):
    # Given stale dates, when they are computed again
    world = api.world
    damage(world)
    world.commands.retry_date(REPAIRED, by=ME)
    world.run()
    retry_marked(world.commands, Mark.STALE, LAST, LAST)
    named, counted = [], []
    while world.dates()[LAST].state != "done":
        world.step()
        told = api.get(f"/v1/dates/{LAST}")["stale"]
        named.append(told.split(":")[0] if told else None)
        counted.append((api.get("/v1/progress")["stale"], api.get("/v1/dates?mark=stale")["dates"]))
    # Then the sentence names ever less, and the count is of those that a retry would find
    assert list(dict.fromkeys(named)) == ["cache, zones", "cache", None]
    assert set(counted) == {(3, 3)}
    # And the suggested retry has something to do as often as it is suggested
    assert api.post("/v1/dates/retry", {"mark": "stale"})["changed"] == 3
    world.run()
    assert api.get("/v1/progress")["stale"] == 0
    assert [one["stale"] for one in api.get("/v1/dates")["items"]] == [None] * len(SEASON)


def test_marked_dates_are_retried_by_their_mark_over_http_and_it_is_recorded(api):
    world = api.world
    damage(world, "zones")
    world.time += 8 * 86400
    world.engine.sweeper.run()
    assert api.get("/v1/progress")["regressed"] == api.scrape()["backfilld_regressed_dates"] == 1
    assert ">1 date</a>" in api.client.get("/").text
    told = api.post("/v1/dates/retry", {"mark": "regressed", "start": str(FIRST), "end": str(LAST)})
    assert told["answers"] == [{"date": str(REPAIRED), "changed": True, "reason": ""}]
    (change,) = api.get("/v1/audit?limit=1")["items"]
    assert (change["action"], change["target"]) == ("retry", "regressed dates")
    assert change["after"] == {"states": {"pending": 1}}
    world.run()
    assert retry_marked(world.commands, Mark.REGRESSED, FIRST, LAST) == []


def test_stale_dates_that_are_run_by_their_mark_are_recorded_too(api):
    damage(api.world)
    api.post(f"/v1/dates/{REPAIRED}/retry")
    api.world.run()
    assert api.post("/v1/dates/retry", {"mark": "stale"})["changed"] == 4
    (change,) = api.get("/v1/audit?limit=1")["items"]
    assert change["target"] == "stale dates"
    assert (change["before"], change["after"]) == ({"states": {"done": 4}}, {"states": {"pending": 4}})


def test_a_retry_of_a_stale_date_says_how_many_further_dates_its_repair_reaches(api, monkeypatch, capsys):
    # Given stale summaries of one date, and what later dates have computed from them
    world = api.world
    damage(world, "box")
    api.post(f"/v1/dates/{REPAIRED}/retry")
    world.run()
    further = sum(date > REPAIRED for date in SEASON)
    # Then the dry run of a retry of that date alone says so and changes nothing
    with beside(api, monkeypatch, capsys) as command:
        (line, _) = command("retry", "--stale", str(REPAIRED), str(REPAIRED), "--dry-run").out.splitlines()
        (whole, _) = command("retry", "--stale", "--dry-run").out.splitlines()
    reach = f"its repair makes up to {further} further dates stale, which run then"
    assert line == f"dry run: 1 date put back to pending; {reach}"
    # And one of all that is stale names each date itself
    assert whole == f"dry run: {further + 1} dates put back to pending"
    assert api.get("/v1/progress")["stale"] == further + 1
    world.executor.launched.clear()
    # And the retry runs as many
    only = {"mark": "stale", "start": str(REPAIRED), "end": str(REPAIRED)}
    assert api.post("/v1/dates/retry", only)["further"] == further
    world.run()
    assert len({date for date, _ in launched(world)}) == further + 1
    # But one that cascades to nothing names none
    assert api.post("/v1/dates/retry", {"start": str(LAST), "force": True})["further"] == 0
