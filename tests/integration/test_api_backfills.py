"""Backfills over HTTP: asked for, answered, paged, steered."""

from __future__ import annotations

import pytest

from backfilld.daemon.executors.adapter import Job
from tests.integration.api_world import Api, refused
from tests.simulation.fakes import Work


def failing(job: Job) -> Work:
    return Work(code=1)


def test_a_range_is_created_and_every_date_is_answered(api: Api) -> None:
    # Given a season that opens on 2021-10-19
    # When a range is asked for that begins before it
    response = api.client.post("/v1/backfills", json={"start": "2021-10-17", "end": "2021-10-20"})
    # Then both ends count, and no date is dropped silently
    assert response.status_code == 201
    assert response.headers["Location"] == "/v1/backfills/1"
    assert response.json == {
        "id": 1,
        "start": "2021-10-17",
        "end": "2021-10-20",
        "dates": 4,
        "select": None,
        "outcomes": {"not_expected": 2, "enqueued": 2},
        "details": [
            {
                "date": "2021-10-17",
                "outcome": "not_expected",
                "reason": "preseason: 2021-22 opens 2021-10-19",
            },
            {
                "date": "2021-10-18",
                "outcome": "not_expected",
                "reason": "preseason: 2021-22 opens 2021-10-19",
            },
            {"date": "2021-10-19", "outcome": "enqueued", "reason": ""},
            {"date": "2021-10-20", "outcome": "enqueued", "reason": ""},
        ],
    }


def test_a_start_alone_is_one_date(api: Api) -> None:
    answer = api.post("/v1/backfills", {"start": "2021-10-19"})
    assert (answer["start"], answer["end"], answer["dates"]) == ("2021-10-19", "2021-10-19", 1)


def test_a_list_of_dates_is_sorted_and_has_none_twice(api: Api) -> None:
    answer = api.post("/v1/backfills", {"dates": ["2021-10-21", "2021-10-19", "2021-10-21"]})
    assert [detail["date"] for detail in answer["details"]] == ["2021-10-19", "2021-10-21"]


def test_a_dry_run_answers_alike_and_stores_nothing(api: Api) -> None:
    # Given a request
    body = {"start": "2021-10-19", "end": "2021-10-22"}
    # When it is first made dry, then for good
    dry = api.client.post("/v1/backfills", json={**body, "dry_run": True}, headers={"Idempotency-Key": "k"})
    nothing = api.get("/v1/dates")["items"]
    real = api.post("/v1/backfills", body, headers={"Idempotency-Key": "k"})
    # Then the dry one stored neither dates nor its key, and said the same
    assert dry.status_code == 200
    assert dry.json is not None
    assert dry.json["id"] is None
    assert nothing == []
    assert dry.json == {**real, "id": None}


def test_what_is_done_is_proved_and_not_enqueued_again(api: Api) -> None:
    # Given a date that is done
    api.enqueue("2021-10-19")
    api.world.run()
    # When it is asked for again
    (detail,) = api.post("/v1/backfills", {"start": "2021-10-19"})["details"]
    # Then the verdicts that prove it are in the answer
    assert detail["outcome"] == "already_done"
    assert detail["verdicts"] == {"complete": 4}


def test_a_replayed_request_gets_the_whole_answer_again(api: Api) -> None:
    # Given a date that is done, and what was answered about it and a later one
    api.enqueue("2021-10-19")
    api.world.run()
    body, key = {"start": "2021-10-18", "end": "2021-10-20"}, {"Idempotency-Key": "k"}
    first = api.post("/v1/backfills", body, headers=key)
    # Then the same request has the same answer, though the world has gone on
    api.world.run()
    assert api.post("/v1/backfills", body, headers=key) == first
    assert first["details"][1]["verdicts"] == {"complete": 4}


def test_a_backfill_says_all_of_itself(api: Api) -> None:
    # Given a backfill with every option
    options = {"sources": "critical", "force": True, "priority": 5, "max_failures": 3, "note": "Größe ✓"}
    number = api.enqueue("2021-10-17", "2021-10-20", **options)
    # When its jobs have run
    api.world.run()
    # Then it tells what was asked, by whom, and how it went
    told = api.get(f"/v1/backfills/{number}")
    assert {name: told[name] for name in options} == options
    assert told["status"] == "finished"
    assert told["actor"] == "anonymous"
    assert told["created_at"] == "2025-10-09T08:53:20.000Z"
    assert told["request_outcomes"] == {"enqueued": 2, "not_expected": 2}
    assert told["states"] == {"done": 2}
    assert told["outcomes"] == {"waived": 2}  # the optional source was not run: sources critical
    assert told["running_attempts"] == 0
    assert told["stop_reason"] is None
    assert "retried" not in told


def test_lists_of_backfills_are_paged_newest_first(api: Api) -> None:
    for day in range(19, 24):
        api.enqueue(f"2021-10-{day}")
    pages = api.pages("/v1/backfills", 2)
    assert [[item["id"] for item in page] for page in pages] == [[5, 4], [3, 2], [1]]


def test_a_backfill_with_live_dates_is_listed_apart_from_all_that_have_ended(api: Api) -> None:
    first = api.enqueue("2021-10-19")
    api.post("/v1/backfills/1/pause")
    for _ in range(3):
        api.enqueue("2021-10-15")
    assert [row["id"] for row in api.get("/v1/backfills?live=true")["items"]] == [first]
    assert [row["id"] for row in api.get("/v1/backfills?live=false&limit=2")["items"]] == [4, 3]


def test_the_dates_of_a_backfill_are_paged_and_say_where_they_stand(api: Api) -> None:
    # Given a backfill of which one date is done and one is not expected
    number = api.enqueue("2021-10-18", "2021-10-19")
    api.world.run()
    other = api.enqueue("2021-10-18", "2021-10-20")
    # Then each date has its answer, its state, and what it waits for while it is live
    pages = api.pages(f"/v1/backfills/{other}/dates", 2)
    assert [len(page) for page in pages] == [2, 1]
    off, done, live = (item for page in pages for item in page)
    assert (off["request_outcome"], off["state"], off["outcome"]) == ("not_expected", "done", "not_expected")
    assert (done["request_outcome"], done["state"], done["outcome"]) == ("already_done", "done", "complete")
    assert (live["request_outcome"], live["state"], live["outcome"]) == ("enqueued", "pending", None)
    assert live["waiting_on"]
    assert api.get(f"/v1/backfills/{number}")["status"] == "finished"


def test_a_date_that_another_backfill_took_over_is_said_to_be(api: Api) -> None:
    # Given a date that ended under one backfill
    first = api.enqueue("2021-10-19")
    api.world.run()
    # When another one forces it again
    api.enqueue("2021-10-19", force=True)
    # Then the first can still be read
    told = api.get(f"/v1/backfills/{first}")
    assert sum(told["states"].values()) == 1
    assert api.get("/v1/backfills")["items"][1] == told
    assert api.get(f"/v1/backfills/{first}/dates")["items"][0]["state"] is not None


def test_pause_and_resume_can_be_repeated(api: Api) -> None:
    number = api.enqueue("2021-10-19")
    assert api.post(f"/v1/backfills/{number}/pause")["status"] == "paused"
    assert api.post(f"/v1/backfills/{number}/pause")["status"] == "paused"
    api.world.run()
    assert (
        api.get(f"/v1/backfills/{number}/dates")["items"][0]["waiting_on"]
        == f"backfill {number} is paused; backfilld resume {number}"
    )
    assert api.post(f"/v1/backfills/{number}/resume")["status"] == "active"
    assert api.post(f"/v1/backfills/{number}/resume")["status"] == "active"


def test_a_cancelled_backfill_is_cancelling_until_its_last_job_has_ended(api: Api) -> None:
    # Given a job under way
    number = api.enqueue("2021-10-19")
    api.world.settle()
    assert api.get(f"/v1/backfills/{number}")["running_attempts"] == 2
    # When the backfill is cancelled, twice
    assert api.post(f"/v1/backfills/{number}/cancel")["status"] == "cancelling"
    assert api.post(f"/v1/backfills/{number}/cancel")["status"] == "cancelling"
    api.world.run()
    # Then it ends as cancelled, and steering it further is refused with the reason
    assert api.get(f"/v1/backfills/{number}")["status"] == "cancelled"
    for verb in ("pause", "resume"):
        field, message = refused(api.client.post(f"/v1/backfills/{number}/{verb}"), 409)
        assert field == ""
        assert f"backfill {number} is cancelled" in message


def test_a_retry_says_how_many_dates_it_put_back(api: Api) -> None:
    # Given two dates that failed
    api.world.script = failing
    number = api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    assert api.get(f"/v1/backfills/{number}")["outcomes"] == {"exhausted": 2}
    # Then each says why
    reasons = {one["reason"] for one in api.get(f"/v1/backfills/{number}/dates")["items"]}
    assert reasons == {api.get("/v1/dates/2021-10-19")["reason"]}
    # When they are retried
    told = api.post(f"/v1/backfills/{number}/retry")
    # Then both live again, also when the request is repeated
    assert (told["retried"], told["status"]) == (2, "active")
    again = api.post(f"/v1/backfills/{number}/retry")
    assert (again["retried"], again["states"]) == (0, told["states"])


def test_a_retry_of_what_has_ended_well_is_refused(api: Api) -> None:
    number = api.enqueue("2021-10-19", "2021-10-20")
    api.world.run()
    _, message = refused(api.client.post(f"/v1/backfills/{number}/retry"), 409)
    assert message == f"backfill {number} has no date that failed or is live"


def test_a_backfill_that_is_not_there_is_not_found(api: Api) -> None:
    for method, path in (
        ("GET", "/v1/backfills/99"),
        ("GET", "/v1/backfills/99/dates"),
        ("POST", "/v1/backfills/99/pause"),
        ("POST", "/v1/backfills/99/resume"),
        ("POST", "/v1/backfills/99/cancel"),
        ("POST", "/v1/backfills/99/retry"),
    ):
        _, message = refused(api.client.open(path, method=method), 404)
        assert message == "there is no backfill 99; backfilld status lists them"


def test_every_change_wakes_the_engine_and_no_question_does(api: Api) -> None:
    number = api.enqueue("2021-10-19")
    assert api.behind.woken == 1
    api.get("/v1/progress")
    api.get(f"/v1/backfills/{number}")
    assert api.behind.woken == 1
    for path in (
        f"/v1/backfills/{number}/pause",
        f"/v1/backfills/{number}/resume",
        "/v1/pause",
        "/v1/resume",
    ):
        api.post(path)
    assert api.behind.woken == 5


def test_a_selection_is_resolved_and_kept_with_its_debt(api: Api) -> None:
    body = {"start": "2021-10-19", "end": "2021-10-20", "select": ["box"]}
    dry = api.post("/v1/backfills", {**body, "dry_run": True})
    assert dry["select"] == ["box"]
    assert set(dry["becomes_stale"].values()) == {2}
    assert "box" not in dry["becomes_stale"]
    api.post("/v1/backfills", body)
    assert api.get("/v1/backfills/1")["select"] == ["box"]
    whole = api.post("/v1/backfills", {**body, "select": ["box+"]})
    assert "becomes_stale" not in whole


@pytest.mark.parametrize(
    ("terms", "field", "message"),
    [
        ({"select": ["boxx"]}, "select", "there is no processor 'boxx'; did you mean 'box'?"),
        ({"exclude": ["phase:phase22"]}, "exclude", "there is no phase 'phase22'; did you mean 'phase2'?"),
    ],
)
def test_a_term_that_matches_nothing_names_the_field(
    api: Api, terms: dict[str, list[str]], field: str, message: str
) -> None:
    response = api.client.post("/v1/backfills", json={"start": "2021-10-19", **terms})
    assert response.status_code == 422
    assert [(one["field"], one["message"]) for one in response.json["errors"]] == [(field, message)]
