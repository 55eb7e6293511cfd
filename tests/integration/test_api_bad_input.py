"""Whatever is sent: a clear 4xx that names the field, and nothing is stored."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.api_world import Api, make_api, refused


@pytest.fixture(scope="module")
def empty_api(tmp_path_factory: pytest.TempPathFactory) -> Api:
    """One API for all tests: none of them may change it."""
    return make_api(tmp_path_factory.mktemp("api"))


@pytest.fixture
def api(empty_api: Api) -> Iterator[Api]:
    """An API of which nothing may be stored, whatever a test sends."""
    api = empty_api
    yield api
    assert api.get("/v1/backfills")["items"] == []
    assert api.get("/v1/dates")["items"] == []
    assert api.get("/v1/holds")["items"] == []
    assert api.behind.woken == 0


GOOD = {"start": "2021-10-19"}


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"start": "2021-10-20", "end": "2021-10-19"}, "end", "2021-10-19 is before start 2021-10-20"),
        ({"start": "yesterday"}, "start", "write it YYYY-MM-DD"),
        ({"start": "20211019"}, "start", "write it YYYY-MM-DD"),
        ({"start": "2021-W42-2"}, "start", "write it YYYY-MM-DD"),
        ({"start": "2021-10-19T00:00:00Z"}, "start", "write it YYYY-MM-DD"),
        ({"start": " 2021-10-19"}, "start", "write it YYYY-MM-DD"),
        ({"start": "２０２１-10-19"}, "start", "write it YYYY-MM-DD"),
        ({"start": "2021-02-30"}, "start", "there is no date 2021-02-30"),
        ({"start": "0000-01-01"}, "start", "there is no date 0000-01-01"),
        ({"start": "0001-01-01"}, "start", "is not within 1900-01-01 and 2199-12-31"),
        ({"start": "9999-12-31"}, "start", "is not within 1900-01-01 and 2199-12-31"),
        ({"start": 20211019}, "start", "write it YYYY-MM-DD"),
        ({"start": None}, "start", "is missing"),
        ({"start": "1900-01-01", "end": "2173-10-15"}, "end", "100000 days; one request takes at most 20000"),
        ({"dates": ["1900-01-01", "2199-12-31"]}, "dates", "one request takes at most 20000"),
        ({"dates": []}, "dates", "is empty; give at least one item"),
        ({**GOOD, "select": []}, "select", "is empty; give at least one item"),
        ({"dates": ["2021-10-19", "2021-02-30"]}, "dates.1", "there is no date 2021-02-30"),
        ({"dates": "2021-10-19"}, "dates", "is not a list; put it in [ ]"),
        ({"dates": ["2021-10-19"], "start": "2021-10-19"}, "dates", "excludes start and end"),
        ({}, "start", "is missing; give start and end, or dates"),
        ({"end": "2021-10-19"}, "start", "is missing"),
        ({**GOOD, "prioritty": 3}, "prioritty", "unknown key 'prioritty'; did you mean 'priority'?"),
        ({**GOOD, "priority": 101}, "priority", "is too large; use 100 or less"),
        ({**GOOD, "priority": "3"}, "priority", "is not a whole number; write it without"),
        ({**GOOD, "priority": 1.5}, "priority", "is not a whole number; write it without"),
        ({**GOOD, "priority": True}, "priority", "is not a whole number; write it without"),
        ({**GOOD, "priority": 10**30}, "priority", "is too large; use 100 or less"),
        ({**GOOD, "max_failures": 0}, "max_failures", "is too small; use 1 or more"),
        ({**GOOD, "max_failures": 2**63}, "max_failures", "is too large; use 20000 or less"),
        ({**GOOD, "force": "yes"}, "force", "is neither true nor false; write one of them, without quotes"),
        ({**GOOD, "sources": "some"}, "sources", "'some' is not known; use 'all', 'critical' or 'none'"),
        ({**GOOD, "note": 5}, "note", "is not a text; put it in double quotes"),
        ({**GOOD, "note": "x" * 501}, "note", "is too long; use 500 characters or fewer"),
        ({**GOOD, "note": "a\x00b"}, "note", "has the control character U+0000"),
        ({**GOOD, "note": "\x1b[31mred"}, "note", "has the control character U+001B"),
        ([], "body", "is not a JSON object; put it in { }"),
        ("2021-10-19", "body", "is not a JSON object; put it in { }"),
    ],
)
def test_a_bad_body_is_refused_with_the_field_at_fault(api: Api, body: Any, field: str, words: str) -> None:
    said = refused(api.client.post("/v1/backfills", json=body), 422)
    assert said[0] == field
    assert words in said[1]


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"start=2021-10-19",
        b'{"start": "2021-10-19", "priority": NaN}',
        b'{"start": "2021-10-19", "priority": -Infinity}',
        b'{"note": "\\ud800"}',
        b'{"note": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"note": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"priority": ' + b"9" * 10_000 + b"}",
    ],
)
def test_what_is_not_json_is_refused(api: Api, raw: bytes) -> None:
    response = api.client.post("/v1/backfills", data=raw, content_type="application/json")
    _, message = refused(response, 400)
    assert message.startswith("the body is not JSON: ")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_content_type_is_refused(api: Api, content_type: str) -> None:
    response = api.client.post("/v1/backfills", data=b'{"start": "2021-10-19"}', content_type=content_type)
    _, message = refused(response, 415)
    assert "application/json" in message


@pytest.mark.parametrize("coding", ["gzip", "br", "GZIP, br"])
def test_a_body_in_a_coding_is_refused_whatever_it_is(api: Api, coding: str) -> None:
    response = api.client.post("/v1/backfills", json=GOOD, headers={"Content-Encoding": coding})
    assert "send it without Content-Encoding" in refused(response, 415)[1]


def test_a_huge_body_is_refused(api: Api) -> None:
    response = api.client.post("/v1/backfills", json={**GOOD, "note": "x" * (1 << 20)})
    refused(response, 413)


def test_twenty_faults_are_named_and_no_more(api: Api) -> None:
    response = api.client.post("/v1/backfills", json={"dates": ["x" * 1000] * 1000})
    refused(response, 422)
    assert response.json is not None
    assert len(response.json["errors"]) == 20


def test_long_and_unreadable_keys_are_told_short_and_readable(api: Api) -> None:
    response = api.client.post("/v1/backfills", json={"\x00\u202e" + "k" * 100_000: 1})
    field, _ = refused(response, 422)
    assert field.startswith("\\x00\\u202ekkk")
    assert len(response.text) < 2000


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "Größe", "a\x7f"])
def test_a_bad_idempotency_key_is_refused(api: Api, key: str) -> None:
    response = api.client.post(
        "/v1/backfills", json=GOOD, headers={"Idempotency-Key": key.encode().decode("latin-1")}
    )
    field, _ = refused(response, 422)
    assert field == "Idempotency-Key"


TOO_LARGE = str(2**31)
"""One more than the largest id of a column in PostgreSQL."""


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/dates?start=2021-10-20&end=2021-10-19", "end"),
        ("/v1/dates?start=soon", "start"),
        ("/v1/dates?start=", "start"),
        ("/v1/dates?end=9999-12-31", "end"),
        ("/v1/dates?state=phase9", "state"),
        ("/v1/dates?state=pending,,done", "state"),
        ("/v1/dates?stat=done", "stat"),
        ("/v1/dates?state=done&state=failed", "state"),
        ("/v1/dates?limit=0", "limit"),
        ("/v1/dates?limit=1001", "limit"),
        ("/v1/dates?limit=-1", "limit"),
        ("/v1/dates?limit=ten", "limit"),
        ("/v1/dates?limit=1e2", "limit"),
        ("/v1/dates?limit=٣", "limit"),
        (f"/v1/dates?limit={'9' * 5000}", "limit"),
        ("/v1/dates?cursor=x", "cursor"),
        ("/v1/dates?cursor=", "cursor"),
        ("/v1/dates?cursor=%00", "cursor"),
        ("/v1/dates?cursor=ZGF0ZTo5OTk5LTEyLTMx", "cursor"),  # date:9999-12-31
        ("/v1/dates?cursor=aWQ6Nw", "cursor"),  # id:7, of another list
        ("/v1/backfills?cursor=aWQ6MjE0NzQ4MzY0OA", "cursor"),  # id:2**31
        ("/v1/backfills?cursor=aWQ6LTE", "cursor"),  # id:-1
        ("/v1/backfills?limit=99999999999999999999", "limit"),
        ("/v1/attempts?status=done", "status"),
        ("/v1/attempts?processor=boxx", "processor"),
        ("/v1/attempts?cursor=w7xi", "cursor"),
        (f"/v1/backfills/{TOO_LARGE}", "id"),
        ("/v1/backfills/0", "id"),
        ("/v1/backfills/-1", "id"),
        ("/v1/backfills/seven", "id"),
        ("/v1/backfills/%D9%A3", "id"),
        (f"/v1/backfills/{'1' * 10_000}", "id"),
        (f"/v1/attempts/{TOO_LARGE}", "id"),
        (f"/v1/attempts/{TOO_LARGE}/log", "id"),
        ("/v1/attempts/1/log?tail=-1", "tail"),
        ("/v1/attempts/1/log?tail=100001", "tail"),
        (f"/v1/attempts/1/log?offset={2**63}", "offset"),
        ("/v1/attempts/1/log?offset=1&tail=1", "offset"),
        ("/v1/attempts/1/log?limit=-1", "limit"),
        ("/v1/dates/2021-13-01", "date"),
        ("/v1/dates/0000-00-00", "date"),
        ("/v1/dates/%00", "date"),
        ("/v1/dates/%ED%A0%80", "date"),
        ("/readyz?verbose=banana", "verbose"),
        ("/livez?verbos", "verbos"),
        ("/v1/holds?kind=table", "kind"),
        ("/v1/pipeline?pretty=1", "pretty"),
        ("/v1/progress?backfill=seven", "backfill"),
        ("/v1/activity?season=", "season"),
        ("/metrics?name=x", "name"),
        ("/v1/plan/comparison?start=2021-10-19&window_end=2021-10-19", "window_start"),
        ("/v1/plan/comparison?start=2021-10-19&window_start=2021-10-18", "window_start"),
    ],
)
def test_a_bad_question_is_refused_with_the_field_at_fault(api: Api, path: str, field: str) -> None:
    assert refused(api.client.get(path), 422)[0] == field


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/pause", {"reason": "a\x00"}, "reason"),
        ("/v1/pause", {"reson": "tired"}, "reson"),
        ("/v1/resume", {"reason": "rested"}, "reason"),
        ("/v1/backfills/1/pause", {"why": 1}, "why"),
        ("/v1/backfills/9999999999999999999999/cancel", {}, "id"),
        ("/v1/dates/2021-10-19/retry", {"force": 1}, "force"),
        ("/v1/dates/tomorrow/retry", {}, "date"),
        ("/v1/dates/2021-10-19/accept", {"reason": "known"}, "processor"),
        ("/v1/dates/2021-10-19/accept", {"processor": "box"}, "reason"),
        ("/v1/dates/2021-10-19/accept", {"processor": "box", "reason": " \n"}, "reason"),
        ("/v1/dates/2021-10-19/accept", {"processor": "x" * 81, "reason": "known"}, "processor"),
    ],
)
def test_a_bad_change_is_refused_with_the_field_at_fault(
    api: Api, path: str, body: dict[str, Any], field: str
) -> None:
    assert refused(api.client.post(path, json=body), 422)[0] == field


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"/enqueue?start=2021-10-19&priority={'9' * 5000}", "is not a whole number; write it without"),
        ("/enqueue?start=2021-10-19&max_failures=-", "is not a whole number; write it without"),
        ("/validation?start=soon", "write it YYYY-MM-DD"),
    ],
)
def test_a_bad_field_of_a_page_is_told_on_it(api: Api, path: str, words: str) -> None:
    response = api.client.get(path)
    assert response.status_code == 422
    assert words in response.text


@pytest.mark.parametrize("path", ["/enqueue", "/validation", "/login"])
def test_a_page_without_parts_is_whole_whatever_part_is_asked_for(api: Api, path: str) -> None:
    response = api.client.get(f"{path}?part=main")
    assert response.status_code == 200
    assert "</html>" in response.text


def test_a_hold_that_nobody_can_lift_is_refused(api: Api) -> None:
    assert refused(api.client.delete("/v1/holds/all/all"), 422)[0] == "kind"
    field, message = refused(api.client.delete("/v1/holds/processor"), 422)
    assert field == "kind"
    assert "/v1/holds/processor/KEY" in message
    assert refused(api.client.delete("/v1/holds/processor/%00"), 422)[0] == "key"


def test_what_is_not_there_and_what_is_not_done_there_are_problems_too(api: Api) -> None:
    _, message = refused(api.client.get("/v1/backfils"), 404)
    assert message == "there is nothing at /v1/backfils; /openapi.json lists every route"
    refused(api.client.get("/v1//dates"), 404)
    refused(api.client.get("/v1/attempts/1/log/../../../etc/passwd"), 404)
    response = api.client.put("/v1/dates")
    refused(response, 405)
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    refused(api.client.options("/v1/dates"), 405)
