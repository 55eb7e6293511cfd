"""The audit: one row for every change, in its transaction, and none for what changed nothing."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from backfilld.daemon.executors.adapter import Job
from backfilld.state.records import Actor
from backfilld.state.store import audit
from backfilld.state.store.database import DatabaseUnavailable
from tests.integration.api_world import Api, refused
from tests.simulation.fakes import Work


def entries(api: Api, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/audit{query}")["items"]
    return found


def changed(entry: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What a row says has changed, from what to what."""
    before, after = entry["before"] or {}, entry["after"] or {}
    return {
        name: (before.get(name), after.get(name))
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    }


def test_a_request_is_recorded_with_who_what_and_from_where(api: Api) -> None:
    headers = {"X-Request-Id": "run-7"}
    api.post("/v1/backfills", {"start": "2021-10-18", "end": "2021-10-20", "note": "again"}, headers=headers)
    (entry,) = entries(api)
    at = dt.datetime.fromtimestamp(api.world.time, dt.UTC).isoformat(timespec="milliseconds")
    assert entry == {
        "id": 1,
        "at": at.replace("+00:00", "Z"),
        "actor": "anonymous",
        "address": "127.0.0.1",
        "request_id": "run-7",
        "action": "enqueue",
        "target": "backfill 1",
        "before": None,
        "after": {
            "start": "2021-10-18",
            "end": "2021-10-20",
            "dates": 3,
            "sources": "all",
            "selection": None,
            "force": False,
            "priority": 0,
            "max_failures": None,
            "note": "again",
            "outcomes": {"not_expected": 1, "enqueued": 2},
        },
    }


def failing(job: Job) -> Work:
    return Work(code=1)


def test_every_kind_of_change_leaves_one_row_with_before_and_after(api: Api) -> None:
    # Given two dates that failed
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    # When people do all that can be done
    api.post("/v1/pause", {"reason": "lunch"})
    api.post("/v1/resume")
    api.post("/v1/dates/2021-10-19/retry", {"force": True})
    api.post("/v1/backfills/1/pause")
    api.post("/v1/backfills/1/resume")
    api.post("/v1/dates/2021-10-20/accept", {"processor": "box", "reason": "lost for ever"})
    api.post("/v1/backfills/1/cancel")
    api.world.run()
    api.post("/v1/backfills/1/retry")
    # Then each is there once, in order, with what it changed
    found = [(e["action"], e["target"], changed(e)) for e in reversed(entries(api))][1:]
    assert [(action, target) for action, target, _ in found] == [
        ("pause", "everything"),
        ("resume", "everything"),
        ("retry", "2021-10-19"),
        ("pause", "backfill 1"),
        ("resume", "backfill 1"),
        ("accept", "2021-10-20"),
        ("cancel", "backfill 1"),
        ("retry", "backfill 1"),
    ]
    changes = [change for _, _, change in found]
    assert changes[0]["reason"] == (None, "lunch")
    assert changes[1]["reason"] == ("lunch", None)
    assert changes[2] == {"state": ("failed", "pending"), "outcome": ("exhausted", "")}
    assert changes[3] == {"status": ("active", "paused"), "paused": (False, True)}
    assert changes[4] == {"status": ("paused", "active"), "paused": (True, False)}
    accepted = {"processor": "box", "by": "anonymous", "reason": "lost for ever"}
    assert changes[5]["accepted"] == ({"processor": "box", "by": "", "reason": ""}, accepted)
    assert changes[6]["status"] == ("active", "cancelling")
    assert changes[7]["status"] == ("cancelled", "active")
    assert changes[7]["live"] == (0, 2)


def test_a_lifted_hold_is_recorded_with_what_it_was(api: Api) -> None:
    api.world.script = failing
    api.enqueue("2021-10-19", "2021-10-30")
    api.world.run()
    hold = api.get("/v1/holds")["items"][0]
    api.delete(f"/v1/holds/processor/{hold['key']}")
    entry = entries(api)[0]
    assert (entry["action"], entry["target"], entry["after"]) == ("release", f"processor {hold['key']}", None)
    assert entry["before"]["reason"] == hold["reason"]


def test_what_changes_nothing_leaves_no_row(api: Api) -> None:
    # Given a backfill that is paused
    api.enqueue("2021-10-19")
    api.post("/v1/backfills/1/pause")
    api.post("/v1/pause")
    before = entries(api)
    # When requests are repeated, refused, malformed or dry
    api.post("/v1/backfills/1/pause")
    api.post("/v1/pause")
    api.post("/v1/backfills", {"start": "2021-10-19", "dry_run": True})
    api.post("/v1/backfills/1/retry")
    refused(api.client.post("/v1/backfills/9/cancel"), 404)
    refused(api.client.post("/v1/dates/2021-10-19/retry"), 409)
    refused(api.client.delete("/v1/holds/warehouse"), 404)
    refused(api.client.post("/v1/backfills", json={"start": "soon"}), 422)
    # Then nothing is added
    assert entries(api) == before


def test_a_replayed_request_is_one_change(api: Api) -> None:
    for _ in range(2):
        api.post("/v1/backfills", {"start": "2021-10-19"}, headers={"Idempotency-Key": "k"})
    assert len(entries(api)) == 1


def test_a_change_that_is_undone_leaves_no_row_and_a_row_that_cannot_be_written_undoes_the_change(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an audit that fails after the change
    def fail(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("the disk is full")

    api.enqueue("2021-10-19")
    monkeypatch.setattr(audit, "record", fail)
    # When somebody pauses or enqueues
    refused(api.client.post("/v1/backfills/1/pause"), 503)
    refused(api.client.post("/v1/backfills", json={"start": "2021-10-20"}), 503)
    # Then neither has happened
    monkeypatch.undo()
    assert api.get("/v1/backfills/1")["status"] == "active"
    assert len(api.get("/v1/backfills")["items"]) == len(entries(api)) == 1


def test_the_audit_is_paged_and_filtered(api: Api) -> None:
    for number in range(7):
        api.enqueue(f"2021-10-{19 + number}")
        api.world.time += 86400
    api.world.commands.cancel(3, by=Actor(name="ana", address="10.0.0.7"))
    assert [[e["id"] for e in page] for page in api.pages("/v1/audit", 3)] == [[8, 7, 6], [5, 4, 3], [2, 1]]
    (own,) = entries(api, "?actor=ana")
    assert (own["address"], own["action"]) == ("10.0.0.7", "cancel")
    assert entries(api, "?action=cancel") == [own]
    assert [e["action"] for e in entries(api, "?target=backfill%203")] == ["cancel", "enqueue"]
    day = dt.datetime.fromtimestamp(api.world.time, dt.UTC).date() - dt.timedelta(days=2)
    assert [e["target"] for e in entries(api, f"?start={day}&end={day}")] == ["backfill 6"]
    assert refused(api.client.get("/v1/audit?action=steal"), 422)[0] == "action"
    assert refused(api.client.get("/v1/audit?start=2021-10-20&end=2021-10-19"), 422)[0] == "end"
