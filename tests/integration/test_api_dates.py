"""Dates over HTTP: where each stands, why, and what people do about it; the same for holds and progress."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa

from backfilld.daemon.executors.adapter import Job
from backfilld.state.pipeline.phase import PENDING
from backfilld.state.store import backfills, schema
from tests.integration.api_world import OPENER, Api, make_api, refused
from tests.simulation.fakes import Work


def failing(job: Job) -> Work:
    return Work(code=1)


def test_a_date_tells_its_whole_story(api: Api) -> None:
    # Given a date in its first strict step, while an earlier one holds the phase
    api.enqueue("2021-10-19", "2021-10-20")
    for _ in range(40):
        told = api.get("/v1/dates/2021-10-20")
        if told["state"] == "phase4-step-1" and told["waiting"] == "slot":
            break
        api.world.step()
    # Then it says where it stands, what it waits for, and how it came there
    story = {
        name: told[name] for name in ("date", "state", "outcome", "reason", "counts", "season", "season_day")
    }
    assert story == {
        "date": "2021-10-20",
        "state": "phase4-step-1",
        "outcome": None,
        "reason": None,
        "counts": {"games": 3},
        "season": "2021-22",
        "season_day": 1,
    }
    assert told["waiting_on"].startswith("a slot of phase4: 2021-10-19 runs ")
    assert [check["processor"] for check in told["processors"]] == ["box", "extra", "zones", "cache"]
    box = told["processors"][0]
    assert box.pop("asked_at").endswith("Z")
    assert box == {
        "processor": "box",
        "phase": "phase2",
        "priority": "critical",
        "provisional_until": None,
        "verdict": "complete",
        "symbol": "✓",
        "satisfied": True,
        "rows": 1,
        "expected": "at least 1",
        "reason": "",
        "waiver": None,
        "attempts": 1,
        "attempt_id": None,
        "check_log": None,
    }
    assert [(move["from"], move["to"], move["trigger"]) for move in told["transitions"]] == [
        ("pending", "phase2", "admit"),
        ("phase2", "phase4-step-1", "advance"),
    ]
    assert all(move["at"].endswith("Z") and move["actor"] == "engine" for move in told["transitions"])
    assert {attempt["processor"] for attempt in told["attempts"]} == {"box", "extra"}
    assert told["attempts"][0]["duration_seconds"] == 10.0
    assert told["attempts"][0]["dates"] == ["2021-10-20"]


def test_a_date_nobody_knows_is_not_found(api: Api) -> None:
    for method, path in (("GET", "/v1/dates/2021-10-19"), ("POST", "/v1/dates/2021-10-19/retry")):
        _, message = refused(api.client.open(path, method=method), 404)
        assert message == "2021-10-19 was never enqueued; enqueue it"


def test_lists_are_filtered_by_range_and_state(api: Api) -> None:
    # Given dates in several states
    api.enqueue("2021-10-17", "2021-10-19")
    api.world.run()
    api.enqueue("2021-10-20", "2021-10-21")
    # Then the filters leave what they name
    every = api.get("/v1/dates")["items"]
    assert [item["date"] for item in every] == [f"2021-10-{day}" for day in range(17, 22)]
    assert every[0]["reason"].startswith("preseason")
    live = api.get("/v1/dates?state=pending,phase2")["items"]
    assert [item["date"] for item in live] == ["2021-10-20", "2021-10-21"]
    assert all(item["waiting"] and item["waiting_on"] for item in live)
    middle = api.get("/v1/dates?start=2021-10-18&end=2021-10-20&state=done")["items"]
    assert [item["date"] for item in middle] == ["2021-10-18", "2021-10-19"]
    assert middle[1]["waiting_on"] is None


def test_pages_join_without_a_seam(api: Api) -> None:
    api.enqueue("2021-10-19", "2021-11-07")
    for limit in (1, 7, 10, 20, 21):
        pages = api.pages("/v1/dates", limit)
        found = [item["date"] for page in pages for item in page]
        assert found == [(OPENER + dt.timedelta(days=n)).isoformat() for n in range(20)]
        assert all(len(page) == limit for page in pages[:-1])


def test_a_cursor_never_leads_out_of_the_range(api: Api) -> None:
    api.enqueue("2021-10-19", "2021-10-25")
    cursor = api.get("/v1/dates?limit=2")["next_cursor"]
    later = api.get(f"/v1/dates?start=2021-10-24&cursor={cursor}")["items"]
    assert [item["date"] for item in later] == ["2021-10-24", "2021-10-25"]
    assert api.get(f"/v1/dates?end=2021-10-19&cursor={cursor}")["items"] == []


def test_a_failed_date_is_retried_and_a_live_one_is_not(api: Api) -> None:
    # Given a date that failed
    api.world.script = failing
    api.enqueue("2021-10-19")
    api.world.run()
    assert api.get("/v1/dates/2021-10-19")["outcome"] == "exhausted"
    # When it is retried, with jobs that work now
    api.world.script = api.world.well
    assert api.post("/v1/dates/2021-10-19/retry")["state"] == "pending"
    # Then it cannot be retried again while it lives
    _, message = refused(api.client.post("/v1/dates/2021-10-19/retry"), 409)
    assert message == "2021-10-19 is in pending; retry it once it has ended, or enqueue it with --force"
    api.world.run()
    told = api.get("/v1/dates/2021-10-19")
    assert told["outcome"] == "complete"
    assert [move["actor"] for move in told["transitions"] if move["trigger"] == "retry"] == ["anonymous"]


@pytest.mark.parametrize(
    "filters",
    [
        {"verdict": ["failed", "no_data"]},
        {"verdict": "failed,no_data"},
        {"outcome": ["exhausted"]},
        {"outcome": "exhausted"},
        {"state": ["failed"]},
        {"state": "failed,done"},
    ],
)
def test_a_filter_of_a_retry_is_a_list_or_a_text_with_commas(api: Api, filters: dict[str, object]) -> None:
    # Given a date that failed
    api.world.script = failing
    api.enqueue("2021-10-19")
    api.world.run()
    # When it is chosen by a filter, then it is found in either form
    answer = api.post("/v1/dates/retry", {**filters, "dry_run": True})
    assert [item["date"] for item in answer["answers"] if item["changed"]] == ["2021-10-19"]


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"verdict": ["bad"]}, "'bad' is not a verdict; use one of complete"),
        ({"outcome": ["exhausted", "no"]}, "'no' is not an outcome; use one of complete"),
        ({"state": ["faild"]}, "there is no state 'faild'; did you mean 'failed'?"),
        ({"state": 7}, 'is neither a text nor a list of texts; write one value, or a list: ["..."]'),
        ({"verdict": [7]}, 'is neither a text nor a list of texts; write one value, or a list: ["..."]'),
        ({"outcome": []}, 'is neither a text nor a list of texts; write one value, or a list: ["..."]'),
    ],
)
def test_a_wrong_filter_of_a_retry_is_refused_by_what_is_wrong(
    api: Api, filters: dict[str, object], said: str
) -> None:
    field, message = refused(api.client.post("/v1/dates/retry", json=filters), 422)
    assert field == next(iter(filters))
    assert said in message


def test_a_forced_retry_runs_what_is_complete(api: Api) -> None:
    api.enqueue("2021-10-19")
    api.world.run()
    before = len(api.world.executor.launched)
    api.post("/v1/dates/2021-10-19/retry", {"force": True})
    api.world.run()
    assert len(api.world.executor.launched) == before + 4


def test_a_gap_is_accepted_with_who_and_why(api: Api) -> None:
    # Given a date that failed for one processor
    api.world.script = failing
    api.enqueue("2021-10-19")
    api.world.run()
    api.world.script = api.world.well
    # When the gap is accepted
    told = api.post("/v1/dates/2021-10-19/accept", {"processor": "box", "reason": "the source lost it"})
    # Then it is recorded, and the date goes on without it
    assert told["processors"][0]["waiver"] == {"by": "anonymous", "reason": "the source lost it"}
    api.world.run()
    assert api.get("/v1/dates/2021-10-19")["outcome"] == "waived"


def test_what_is_no_gap_cannot_be_accepted(api: Api) -> None:
    api.enqueue("2021-10-19")
    api.world.run()
    body = {"processor": "box", "reason": "why not"}
    _, message = refused(api.client.post("/v1/dates/2021-10-19/accept", json=body), 409)
    assert message == "2021-10-19: box is satisfied; there is no gap to accept"
    body = {"processor": "boxx", "reason": "why not"}
    _, message = refused(api.client.post("/v1/dates/2021-10-19/accept", json=body), 404)
    assert message == "there is no processor 'boxx'; did you mean 'box'?"


def test_a_date_that_others_look_back_at_can_be_read_before_anybody_enqueues_it(api: Api) -> None:
    # Given a gap accepted on a date that was never enqueued
    api.post("/v1/dates/2021-10-19/accept", {"processor": "box", "reason": "lost"})
    # Then the date has verdicts and no state
    told = api.get("/v1/dates/2021-10-19")
    assert told["state"] is None
    assert told["backfill_id"] is None
    assert [check["processor"] for check in told["processors"]] == ["box"]


def test_everything_is_paused_and_resumed_also_twice(api: Api) -> None:
    # Given dates, and a pause of everything
    api.enqueue("2021-10-19")
    paused = api.post("/v1/pause", {"reason": "quota"})
    assert paused["paused"] is True
    (hold,) = paused["holds"]
    assert (hold["kind"], hold["key"], hold["reason"], hold["actor"]) == ("all", "all", "quota", "anonymous")
    assert (hold["since"], hold["until"]) == ("2025-10-09T08:53:20.000Z", None)
    assert api.post("/v1/pause")["holds"] == [hold]
    # When the engine goes on, no job starts, and the date says why
    api.world.run()
    assert api.world.executor.launched == []
    assert (
        api.get("/v1/dates/2021-10-19")["waiting_on"]
        == "everything is paused by anonymous: quota; backfilld resume"
    )
    # Then a resume lets it go on
    assert api.post("/v1/resume") == {"paused": False, "holds": []}
    assert api.post("/v1/resume")["paused"] is False
    api.world.run()
    assert api.get("/v1/dates/2021-10-19")["outcome"] == "complete"


def test_the_holds_that_the_daemon_placed_are_listed_and_lifted(api: Api) -> None:
    # Given a processor that fails the same way again and again
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-24")
    api.world.run()
    kinds = {(hold["kind"], hold["key"]) for hold in api.get("/v1/holds")["items"]}
    assert ("processor", "box") in kinds
    # When its hold is lifted, it is gone; and cannot be lifted again
    assert api.delete("/v1/holds/processor/box") == {"released": True}
    assert "box" not in {hold["key"] for hold in api.get("/v1/holds")["items"]}
    _, message = refused(api.client.delete("/v1/holds/processor/box"), 404)
    assert message == "there is no hold of processor box; backfilld status lists the holds"


def test_questions_to_the_warehouse_can_be_let_go_at_once(api: Api) -> None:
    # Given a warehouse that did not answer
    api.world.warehouse.down = "no route to host"
    api.enqueue("2021-10-19")
    api.world.settle()
    (hold,) = api.get("/v1/holds")["items"]
    assert (hold["kind"], hold["key"]) == ("warehouse", "")
    assert hold["until"] is not None
    assert "no route to host" in api.get("/v1/dates/2021-10-19")["waiting_on"]
    # Then the hold is lifted without a key, with or without the slash where the key would be
    assert api.delete("/v1/holds/warehouse/") == {"released": True}
    refused(api.client.delete("/v1/holds/warehouse"), 404)


def test_lists_stay_pages_with_twenty_thousand_dates(tmp_path: Path) -> None:
    # Given 20,000 dates, of which few have failed
    api = make_api(tmp_path)
    _fill(api, 20_000)
    # Then a page is a page, and the counts are of all of them
    assert len(api.get("/v1/dates")["items"]) == 100
    assert len(api.get("/v1/dates?state=failed")["items"]) == 100
    assert api.get("/v1/progress")["dates"]["total"] == 20_000
    # And the lists are found by an index, not by reading every date
    for where in ("date >= '1900-01-01'", "state = 'failed'"):
        query = f"EXPLAIN QUERY PLAN SELECT * FROM dates WHERE {where} ORDER BY date LIMIT 101"
        with api.world.db.read() as tx:
            plan = " ".join(row.detail for row in tx.execute(sa.text(query)))
        assert "SEARCH dates USING" in plan, plan


def _fill(api: Api, n: int) -> None:
    """Dates from 1900 on: pending, done within the last hour, and one in a hundred failed."""
    now = api.world.clock()
    first = dt.date(1900, 1, 1)
    span = {"start": first, "end": first, "dates": n, "sources": "all", "created_at": now}
    with api.world.db.write() as tx:
        number = backfills.create(tx, span)
        tx.execute(
            sa.insert(schema.dates), [_row(first + dt.timedelta(days=i), number, now, i) for i in range(n)]
        )


def _row(date: dt.date, number: int, now: float, i: int) -> dict[str, object]:
    failed, done = i % 100 == 99, i % 2 == 0
    ended = now - i % 3000 if failed or done else None
    return {
        "date": date,
        "state": "failed" if failed else "done" if done else PENDING,
        "outcome": "exhausted" if failed else "complete" if done else "",
        "waiting": "" if failed or done else "engine",
        "entered_at": now,
        "ended_at": ended,
        "backfill_id": number,
        "mode": "normal",
    }
