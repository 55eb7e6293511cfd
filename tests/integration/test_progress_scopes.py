"""Progress, watch and lists count each requested date once: of everything, of a backfill, of a season."""

import json
import re
from dataclasses import replace

import pytest

from tests.factories import phase, pipeline, processor
from tests.integration.api_world import make_api
from tests.simulation.world import Work


def shape():
    """Two sources and two strict steps, of which the first needs three earlier dates of a source."""
    needs = [{"of": "box", "days_back": 3}]
    return pipeline(
        phase("phase2", processor("box"), processor("extra", priority="fallback")),
        phase("phase4", processor("zones", needs=needs), processor("cache"), order="sequential"),
        jobs={"breaker_threshold": 100},
    )


@pytest.fixture
def api(tmp_path):
    return make_api(tmp_path, made=shape)


def totals(api, query=""):
    """Satisfied and needed dates of each processor."""
    phases = api.get(f"/v1/progress{query}")["phases"]
    return {p["processor"]: (p["satisfied"], p["total"]) for phase in phases for p in phase["processors"]}


def test_dates_that_exist_only_as_upstream_are_not_counted(api):
    api.enqueue("2021-10-25")
    api.world.run()
    assert {total for _, total in totals(api).values()} == {1}
    # When one of them is requested, it counts from the request on, once
    api.enqueue("2021-10-24")
    assert {total for _, total in totals(api).values()} == {2}
    api.world.run()
    assert {total for _, total in totals(api).values()} == {2}
    counted = {name: n for name, n in api.scrape().items() if name.startswith("backfilld_processor_dates{")}
    assert sum(counted.values()) == 8


def test_a_retried_date_counts_once_while_it_is_pending(api):
    api.enqueue("2021-10-19", "2021-10-21")
    api.world.run()
    api.post("/v1/dates/2021-10-21/retry", {"force": True})
    assert api.get("/v1/progress")["states"]["pending"] == 1
    assert {total for _, total in totals(api).values()} == {3}


def test_progress_of_a_backfill_is_that_of_its_own_dates(api):
    # Given a finished backfill, and a second one that shares a live date with a third
    api.enqueue("2021-10-19", "2021-10-22")
    api.world.run()
    api.enqueue("2021-10-21", "2021-10-24")
    api.enqueue("2021-10-24", "2021-10-26")
    # Then each counts the dates that it has enqueued or joined
    second, third = (api.get(f"/v1/progress?backfill={number}") for number in (2, 3))
    assert second["dates"] == {"total": 2, "done": 0, "failed": 0, "live": 2}
    assert third["dates"] == {"total": 3, "done": 0, "failed": 0, "live": 3}
    assert set(totals(api, "?backfill=2").values()) == {(0, 2)}
    # And its estimate, activity and lists are about these alone
    api.world.run()
    first = api.get("/v1/progress?backfill=1")
    assert first["dates"] == {"total": 4, "done": 4, "failed": 0, "live": 0}
    assert first["eta_method"] == "nothing is left to do"
    assert set(totals(api, "?backfill=3").values()) == {(3, 3)}
    assert api.get("/v1/dates?backfill=2")["dates"] == 2
    assert {d for a in api.get("/v1/attempts?backfill=2")["items"] for d in a["dates"]} == {
        "2021-10-23",
        "2021-10-24",
    }


def test_a_pause_of_hours_changes_neither_rate_nor_remaining_time_anywhere(command, api):
    # Given a backfill with jobs of a minute, of which half has run, in both scopes
    world = api.world
    world.script = lambda job: replace(world.well(job), seconds=60.0)
    api.enqueue("2021-10-19", "2021-11-10")
    while api.get("/v1/progress")["dates"]["done"] < 12:
        world.step()
    before = api.get("/v1/progress?backfill=1")["rate_per_hour"]
    # When it is paused for nine hours, and goes on for some minutes
    api.post("/v1/backfills/1/pause")
    world.run()
    world.time += 9 * 3600
    api.post("/v1/backfills/1/resume")
    while api.get("/v1/progress")["dates"]["done"] < 15:
        world.step()
    shown, everything = api.get("/v1/progress?backfill=1"), api.get("/v1/progress")
    # Then its rate is as before, and its end is not days away
    assert shown["rate_per_hour"] == pytest.approx(before, rel=0.25)
    assert "9 hours without jobs not counted" in shown["eta_method"]
    # And progress of everything, the metric, watch and the page's chart say the same
    assert everything["eta"] == shown["eta"]
    remaining = api.scrape()["backfilld_eta_timestamp_seconds"] - world.time
    assert remaining == pytest.approx(8 / shown["rate_per_hour"] * 3600, abs=1)
    assert shown["eta_method"] in command("watch", "1", "--once").out.replace("\n", " ")
    charts = api.client.get("/backfills/1?part=charts").text
    drawn = [float(text) for text in re.findall(r'class="number">(\d+\.\d)</td>', charts)]
    assert drawn[-1] == pytest.approx(shown["rate_per_hour"], rel=0.25)


def test_watch_shows_the_dates_of_its_backfill_alone(command, api):
    api.enqueue("2021-10-19", "2021-10-22")
    api.world.run()
    api.enqueue("2021-10-23")
    shown = command("watch", "2", "--once")
    assert shown.rows("phase2", "0/2")
    api.world.run()
    assert command("watch", "2").out.count("phase2 2/2 (100 %)") == 1


def test_watch_prints_failures_alone_each_with_the_command_that_shows_more(command, api):
    # Given a date of another backfill that has failed
    api.world.script = lambda job: Work(code=1)
    api.enqueue("2021-10-19")
    api.world.run()
    api.enqueue("2021-10-30", "2021-10-31")
    # Then a backfill's failures are its own, and nothing else is printed
    ended = command("watch", "2", "--failures")
    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines
    assert all("✗ 2021-10-3" in line and "→ backfilld" in line for line in lines)
    # And those of everything begin with the dates that are failed now
    assert len(command("watch", "--failures", "--once").rows("exhausted")) == 3
    documents = command("watch", "1", "--failures", "--once", "--json").out.splitlines()
    assert [json.loads(line)["date"]["date"] for line in documents] == ["2021-10-19"]


@pytest.mark.parametrize("name", ["2021-22", "2021", "2021/2022"])
def test_watch_follows_a_season_by_its_name_or_years(command, api, name):
    api.enqueue("2021-10-18", "2021-10-20")  # the first of them lies before the season
    shown = command("watch", "--season", name, "--once")
    assert shown.out.startswith(f"season {name}: 0 of 2 dates done")
    assert command("watch", "--season", name, "--until-done").code == 0


@pytest.mark.parametrize("name", ["2022", "2021-23", "next", "2020-21"])
def test_a_season_that_the_file_does_not_have_is_refused_with_those_it_has(command, name):
    ended = command("watch", "--season", name)
    assert ended.code == 2
    assert f"there is no season '{name}'; use one of 2021-22" in ended.err


def test_progress_of_a_backfill_that_is_not_there_is_refused(api):
    answer = api.client.get("/v1/progress?backfill=7")
    assert answer.status_code == 422
    assert answer.json["errors"][0]["field"] == "backfill"
