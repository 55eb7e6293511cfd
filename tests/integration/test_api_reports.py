"""Reports over HTTP: what the engine's own rules say of a range, without moving anything."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import requests

from backfilld.daemon.warehouses.adapter import Answers, Wanted
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import OPENER, Api, make_api, refused
from tests.timeouts import PATIENCE

MOST_AT_ONCE = 4


def test_a_validation_tells_what_exists_and_what_is_next(api: Api) -> None:
    # Given rows of one source on one of two dates, and a day off
    api.world.fill("box", OPENER)
    # When the range is validated
    told = api.get("/v1/validation?start=2021-10-18&end=2021-10-20")
    # Then it says so, by phase, processor and date
    assert (told["dates"], told["expected_dates"], told["ready"]) == (3, 2, False)
    assert list(told["off_dates"]) == ["2021-10-18"]
    (first, _) = told["phases"]
    box = first["processors"][0]
    assert (box["processor"], box["complete"], box["expected"]) == ("box", 1, 2)
    assert box["verdicts"]["never_ran"] == 1
    assert box["dates"]["2021-10-19"]["verdict"] == "complete"
    assert told["next_action"]
    # And nothing was enqueued
    assert api.get("/v1/dates")["items"] == []


def test_what_an_operator_accepted_counts_in_the_report(api: Api) -> None:
    # Given a date without its source, whose gap is accepted
    before = api.get("/v1/validation?start=2021-10-19")["phases"][0]
    for name in ("box", "extra"):
        body = {"processor": name, "reason": "the source lost it"}
        api.post("/v1/dates/2021-10-19/accept", body)
    after = api.get("/v1/validation?start=2021-10-19")["phases"][0]
    # Then the phase is ready, as the engine's gate is
    assert (before["ready"], after["ready"]) == (False, True)


def test_a_plan_tells_what_would_run_in_order_with_its_commands_time_and_cost(api: Api) -> None:
    # Given attempts of ten seconds each, and a date that lacks everything
    api.enqueue("2021-10-19")
    api.world.run()
    # When its plan is asked for
    told = api.get("/v1/plan?start=2021-10-20")
    # Then the steps come in order, each with what a person needs to run it
    steps = [step for phase in told["phases"] for step in phase["steps"]]
    assert {step["processor"] for step in steps[:2]} == {"box", "extra"}
    assert [step["processor"] for step in steps[2:]] == ["zones", "cache"]
    assert steps[0]["argv"] == ["true", "2021-10-20"]
    assert "true 2021-10-20" in steps[0]["shell"]
    assert {step["seconds"] for step in steps} == {10.0}
    assert told["cost"]["bytes"] > 0
    assert told["done_dates"] == 1
    # And nothing was enqueued
    assert [item["date"] for item in api.get("/v1/dates")["items"]] == ["2021-10-19"]


def test_a_plan_without_sources_runs_none(api: Api) -> None:
    told = api.get("/v1/plan?start=2021-10-20&sources=none")
    assert told["sources"] == "none"
    assert told["phases"][0]["steps"] == []
    assert refused(api.client.get("/v1/plan?start=2021-10-20&sources=some"), 422)[0] == "sources"


def test_the_choices_stand_side_by_side_with_the_coverage_each_leads_to(api: Api) -> None:
    told = api.get("/v1/plan/comparison?start=2021-10-20")
    assert [(option["sources"], option["steps"]) for option in told["options"]] == [
        ("all", 4),
        ("critical", 3),
        ("none", 0),
    ]
    raw = [option["coverage"][0] for option in told["options"]]
    assert [(one["phase"], one["percent"]) for one in raw] == [
        ("phase2", 100.0),
        ("phase2", 50.0),
        ("phase2", 0.0),
    ]
    assert told["options"][2]["cannot_run"][0]["dates"] == ["2021-10-20"]


def test_quality_tells_rows_below_their_standard(tmp_path: Path) -> None:
    # Given a processor with a standard, whose table cannot be asked
    standard = {"rows": [1], "quality": {"where": "completeness >= 95", "share": 0.9}}
    shape = (phase("raw", processor("box"), processor("context", expect=standard)),)
    api = make_api(tmp_path, made=lambda: pipeline(*shape))
    api.world.warehouse.broken = {"context": "nba.context: Unrecognized name: completeness"}
    told = api.get("/v1/quality?start=2021-10-19&end=2021-10-20")
    # Then that is no good answer
    (context,) = told["processors"]
    assert (told["good"], told["unchecked"], context["unknown_dates"]) == (False, ["box"], 2)
    assert context["dates"]["2021-10-19"]["reason"] == "nba.context: Unrecognized name: completeness"
    assert context["where"] == "completeness >= 95"


def test_a_warehouse_that_does_not_answer_is_a_503(api: Api) -> None:
    api.world.warehouse.down = "no route to host"
    response = api.client.get("/v1/validation?start=2021-10-19")
    _, message = refused(response, 503)
    assert "no route to host" in message
    assert response.headers["Retry-After"]


def test_a_bad_range_is_refused(api: Api) -> None:
    for query, field in (
        ("", "start"),
        ("?start=2021-10-20&end=2021-10-19", "end"),
        ("?start=1900-01-01&end=2199-12-31", "end"),
    ):
        for path in ("/v1/validation", "/v1/plan", "/v1/plan/comparison", "/v1/quality"):
            assert refused(api.client.get(f"{path}{query}"), 422)[0] == field


def test_a_slow_warehouse_takes_a_few_reports_hostage_and_nothing_else(api: Api, url: str) -> None:
    # Given a warehouse that thinks, and as many reports as may wait for it
    answer, entered, go_on = api.behind.warehouse.evidence, threading.Semaphore(0), threading.Event()

    def think(wanted: Wanted, *, purpose: str, stamps: Wanted | None = None) -> Answers:
        entered.release()
        go_on.wait(PATIENCE)
        return answer(wanted, purpose=purpose, stamps=stamps)

    api.behind.warehouse.evidence = think
    ask = partial(requests.get, f"{url}/v1/validation?start=2021-10-19", timeout=PATIENCE)
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        asked = [pool.submit(ask) for _ in range(MOST_AT_ONCE)]
        assert all(entered.acquire(timeout=PATIENCE) for _ in asked)
        # Then one more is told to come back, and everything is paused at once
        refusal = ask()
        assert (refusal.status_code, refusal.headers["Retry-After"]) == (503, "10")
        assert "4 reports are being made" in refusal.json()["detail"]
        assert requests.post(f"{url}/v1/pause", timeout=PATIENCE).status_code == 200
        # And those that waited get their answers
        go_on.set()
        assert [one.result().status_code for one in asked] == [200] * MOST_AT_ONCE
