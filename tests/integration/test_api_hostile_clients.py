"""Operators and probes get in whatever other clients do; malformed requests are refused."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from backfilld.api.http import connections
from backfilld.api.http.lane_threads import REPORT_SECONDS, WaitLog, _LaneThreads
from backfilld.api.http.request_lanes import LIMITS, Lane
from tests.integration.api_with_tokens import Door, make_door
from tests.integration.api_world import Api, listening, make_api, refused
from tests.timeouts import PATIENCE


def connect(url: str) -> socket.socket:
    where = urlsplit(url)
    return socket.create_connection((str(where.hostname), where.port or 0), timeout=PATIENCE)


def answer(url: str, request: bytes) -> tuple[int, bytes]:
    """Status and body of what a connection gets for some bytes."""
    with connect(url) as raw:
        raw.sendall(request)
        response = http.client.HTTPResponse(raw)
        response.begin()
        return response.status, response.read()


@contextlib.contextmanager
def crowd(url: str, number: int, says: bytes) -> Iterator[list[socket.socket]]:
    """Connections that say something once, and then nothing."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(url)) for _ in range(number)]
        for connection in held:
            with contextlib.suppress(OSError):  # it was closed for a newer one
                connection.sendall(says)
        yield held


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "says", [b"", b"POST /v1/pause HT", b"POST /v1/pause HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"]
)
def test_an_operator_gets_in_beside_more_connections_than_there_are_places(
    url: str, says: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 40)
    with requests.Session() as operator, crowd(url, 100, says) as held:
        for verb in ("pause", "resume") * 3:
            assert operator.post(f"{url}/v1/{verb}", json={}, timeout=PATIENCE).status_code == 200
        # And the oldest of the crowd had to go
        assert is_closed(held[0])


def test_the_connection_of_an_operator_stays_when_a_crowd_comes(
    api: Api, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS", 20)
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)

    def pause() -> object:
        connection.request("POST", "/v1/pause", body="{}", headers={"Content-Type": "application/json"})
        connection.getresponse().read()
        return connection.sock

    first = pause()
    with crowd(url, 60, b""):
        assert pause() is first
    connection.close()


def test_a_request_that_never_ends_is_cut_off(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.5)
    with connect(url) as silent, connect(url) as slow:
        ended = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    slow.sendall(b"G")

        trickling = threading.Thread(target=trickle)
        trickling.start()
        assert is_closed(silent)
        assert is_closed(slow)
        ended.set()
        trickling.join()


def test_a_connection_between_two_requests_is_closed_in_the_end(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    with connect(url) as idle:
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        response = http.client.HTTPResponse(idle)
        response.begin()
        assert response.read() == b"ok\n"
        assert is_closed(idle)


def test_probes_and_operators_have_budgets_of_their_own(tmp_path: Path) -> None:
    # Given a client that has used up what it may read
    api = make_api(tmp_path, rate=1)
    while api.client.get("/v1/progress").status_code == 200:
        pass
    # Then probes and changes from the same address are answered
    for _ in range(30):
        assert {api.client.get(path).status_code for path in ("/livez", "/readyz", "/metrics")} == {200}
    assert api.client.post("/v1/pause").status_code == 200
    # And changes have their own limit
    assert {api.client.post("/v1/resume").status_code for _ in range(30)} == {200, 429}


@pytest.fixture
def slow_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Door, str, threading.Event]]:
    """An API with tokens whose requests for dates take until an event."""
    release = threading.Event()
    door = make_door(tmp_path)
    enqueue = door.api.behind.enqueuer.enqueue

    def slowly(request: object) -> object:
        assert release.wait(PATIENCE)
        return enqueue(request)  # type: ignore[arg-type]

    monkeypatch.setattr(door.api.behind.enqueuer, "enqueue", slowly)
    with listening(door.api.app) as url:
        yield door, url, release
        release.set()


def test_steering_and_probes_do_not_wait_for_a_burst_of_requests_for_dates(
    slow_door: tuple[Door, str, threading.Event],
) -> None:
    door, url, release = slow_door
    headers = {"Authorization": f"Bearer {door.operate}"}
    statuses: list[int] = []

    def ask() -> None:
        body = {"start": "2021-10-19", "end": "2021-10-20"}
        response = requests.post(f"{url}/v1/backfills", json=body, headers=headers, timeout=PATIENCE)
        statuses.append(response.status_code)

    # Given 20 requests for dates, the first of which takes long
    asking = [threading.Thread(target=ask) for _ in range(20)]
    for thread in asking:
        thread.start()
    # When an operator steers, and monitoring probes
    pause = requests.post(f"{url}/v1/pause", json={}, headers=headers, timeout=PATIENCE)
    probe = requests.get(f"{url}/livez", timeout=PATIENCE)
    # Then both are answered first
    assert (pause.status_code, probe.status_code, statuses) == (200, 200, [])
    release.set()
    for thread in asking:
        thread.join(PATIENCE)
    assert statuses == [201] * 20


def test_a_state_database_that_does_not_answer_keeps_no_liveness_probe_waiting(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that hangs, with probes of readiness and metrics that wait for it in all their threads
    hangs, release = threading.Barrier(LIMITS[Lane.PROBE].threads + 1), threading.Event()
    read = api.behind.context.db.read

    def hang() -> contextlib.AbstractContextManager[object]:
        hangs.wait(PATIENCE)
        assert release.wait(PATIENCE)
        return read()

    statuses: list[int] = []

    def probe(address: str) -> None:
        statuses.append(requests.get(address, timeout=PATIENCE).status_code)

    with listening(api.app) as url, monkeypatch.context() as meanwhile:
        meanwhile.setattr(api.behind.context.db, "read", hang)
        probes = [threading.Thread(target=probe, args=(url + path,)) for path in ("/readyz", "/metrics")]
        for thread in probes:
            thread.start()
        hangs.wait(PATIENCE)
        # Then the daemon still says that it lives, under both names
        assert requests.get(f"{url}/livez", timeout=PATIENCE).text == "ok\n"
        assert requests.get(f"{url}/healthz", timeout=PATIENCE).text == "ok\n"
        assert statuses == []
        release.set()
        for thread in probes:
            thread.join(PATIENCE)
    assert statuses == [200, 200]


def test_readers_that_have_used_their_share_wait_and_nobody_else_does(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given readers that have used up the processor time of their lane
    release, used = threading.Event(), list[float]()

    def rest(threads: _LaneThreads, seconds: float) -> None:
        if threads._lane is Lane.READ:
            used.append(seconds)
            assert release.wait(PATIENCE)

    monkeypatch.setattr(_LaneThreads, "_rest_after", rest)
    statuses: list[int] = []
    with listening(api.app) as url:
        for _ in range(LIMITS[Lane.READ].threads):
            assert requests.get(url, timeout=PATIENCE).status_code == 200
        reader = threading.Thread(
            target=lambda: statuses.append(requests.get(url, timeout=PATIENCE).status_code)
        )
        reader.start()
        # Then the next one waits, and whoever steers or probes does not
        assert requests.post(f"{url}/v1/pause", json={}, timeout=PATIENCE).status_code == 200
        assert requests.get(f"{url}/livez", timeout=PATIENCE).status_code == 200
        assert requests.get(f"{url}/v1/validation?start=2021-10-19", timeout=PATIENCE).status_code == 200
        assert statuses == []
        release.set()
        reader.join(PATIENCE)
    assert statuses == [200]
    assert all(seconds > 0 for seconds in used)


BOTH = b"Content-Type: application/json\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1\r\nHost: localhost\r\n" + BOTH, b"2\r\n{}\r\n0\r\n\r\n"),
        (b"HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n", b"{}"),
        (b"HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        (b"HTTP/1.1\r\nHost: localhost\r\nContent-Length: +2\r\n", b"{}"),
        (b"HTTP/1.1\r\nHost: localhost\r\nContent-Length : 2\r\n", b"{}"),
    ],
    ids=["both lengths", "two lengths", "chunks of HTTP/1.0", "a signed length", "a space before the colon"],
)
def test_a_request_with_an_ambiguous_length_is_refused(api: Api, url: str, head: bytes, body: bytes) -> None:
    status, text = answer(url, b"POST /v1/pause " + head + b"\r\n" + body)
    assert status == 400, text
    assert b"Bad Request" in text
    assert api.behind.woken == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"start": "2021-10-19", "end": "2021-10-19", "start": "2021-10-25"}', "start"),
        ('{"start": "2021-10-19", "end": "2021-10-19", "force": false, "force": false}', "force"),
        ('{"start": "2021-10-19", "dates": [{"a": 1, "a": 2}]}', "a"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(api: Api, body: str, field: str) -> None:
    response = api.client.post("/v1/backfills", data=body, content_type="application/json")
    assert refused(response, 422) == (field, "is given more than once")
    assert api.get("/v1/backfills")["items"] == []


@pytest.mark.parametrize("number", ["01", "+1", "00", "1_0", "%31%20", "1e0"])
def test_an_id_has_one_spelling(api: Api, number: str) -> None:
    api.enqueue("2021-10-19")
    field, message = refused(api.client.get(f"/v1/backfills/{number}"), 422)
    assert (field, "whole number" in message) == ("id", True)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/audit?actor=%00",
        "/v1/audit?target=a%00b",
        "/v1/attempts?processor=%00",
        "/v1/audit?actor=%1b",
        "/v1/dates?state=%00",
        "/v1/backfills?cursor=%00",
    ],
)
def test_a_control_character_in_a_query_is_refused(api: Api, path: str) -> None:
    _, message = refused(api.client.get(path), 422)
    assert "control character U+00" in message


def test_a_control_character_in_a_path_is_refused(api: Api) -> None:
    assert api.client.delete("/v1/holds/processor/%00").status_code in (404, 422)
    assert api.client.get("/v1/dates/%00").status_code == 422


def test_waits_for_a_thread_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = [time.monotonic()]
    waits = WaitLog(now=lambda: clock[0])
    with caplog.at_level("INFO"):
        for _ in range(500):
            waits.count(Lane.READ)
        assert caplog.messages == []
        clock[0] += REPORT_SECONDS
        waits.count(Lane.ENQUEUE)
        for _ in range(500):
            waits.count(Lane.READ)
    assert caplog.messages == [
        "requests that waited for a thread since the last such line: 500 of kind read, 1 of kind enqueue"
    ]
