"""The API behind its real server, over real connections: limits, replays, an orderly close."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests
from flask import Flask

from backfilld.api.http import listening_socket
from backfilld.api.http.server import Server
from backfilld.daemon.settings import SettingsError
from tests.integration.api_world import Api
from tests.integration.real_jobs import until
from tests.timeouts import PATIENCE

OF_THREADS = re.compile("Task queue depth is|thread\\(s\\) still running")
"""What waitress says where its own threads are slow to begin or to end."""


def test_it_answers_over_http_without_saying_what_it_is_made_of(url: str) -> None:
    with requests.get(f"{url}/v1/progress", timeout=PATIENCE) as response:
        assert response.status_code == 200
        assert "Server" not in response.headers
        assert response.json()["dates"]["total"] == 0


def test_a_repeated_request_with_its_key_gets_the_same_answer(api: Api, url: str) -> None:
    # Given a request that was answered
    body = {"start": "2021-10-18", "end": "2021-10-20", "note": "first"}
    headers = {"Idempotency-Key": "6f1c-4e"}
    first = requests.post(f"{url}/v1/backfills", json=body, headers=headers, timeout=PATIENCE)
    # When it is repeated, with its keys in another order
    again = requests.post(
        f"{url}/v1/backfills", json=dict(reversed(body.items())), headers=headers, timeout=PATIENCE
    )
    # Then the answer is the same, and there is one backfill
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert len(api.get("/v1/backfills")["items"]) == 1
    # And another request under that key is refused
    other = requests.post(
        f"{url}/v1/backfills", json={**body, "note": "second"}, headers=headers, timeout=PATIENCE
    )
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"


def test_of_requests_at_once_under_one_key_one_is_made(api: Api, url: str) -> None:
    # Given eight clients that send the same at the same moment
    start = threading.Barrier(8)

    def send(_: int) -> requests.Response:
        start.wait()
        return requests.post(
            f"{url}/v1/backfills",
            json={"start": "2021-10-19", "end": "2021-11-20"},
            headers={"Idempotency-Key": "race"},
            timeout=PATIENCE,
        )

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, range(8)))
    # Then each gets the one answer, or is told that it is being made
    assert {answer.status_code for answer in answers} <= {201, 409}
    made = [answer.json() for answer in answers if answer.status_code == 201]
    assert made
    assert all(answer == made[0] for answer in made)
    assert len(api.get("/v1/backfills")["items"]) == 1


def test_a_body_that_only_claims_to_be_huge_is_refused_at_once(api: Api, url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    for size in ((1 << 20) + 1, 1 << 40):
        connection.putrequest("POST", "/v1/backfills")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(size))
        connection.endheaders()
        if size < 1 << 21:
            connection.send(b" " * size)
        response = connection.getresponse()
        assert response.status == 413
        assert response.getheader("Content-Type") == "application/problem+json"
        problem = json.loads(response.read())
        assert (problem["status"], problem["detail"]) == (
            413,
            "the body is larger than 1024 KiB; split the request, or give a range in place of a list",
        )
        connection.close()
    assert api.behind.woken == 0


def test_endless_headers_are_refused(url: str) -> None:
    with requests.get(f"{url}/v1/dates", headers={"X-Long": "x" * 40_000}, timeout=PATIENCE) as response:
        assert response.status_code == 431
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json() == {
            "type": "about:blank",
            "title": "Request Header Fields Too Large",
            "status": 431,
            "detail": "the headers are larger than 32 KiB; send fewer or shorter ones",
            "instance": "/",
        }


def test_what_is_no_http_is_refused_as_other_errors_are(url: str) -> None:
    where = urlsplit(url)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=PATIENCE) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n")
        answer = raw.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Type: application/problem+json" in answer


def test_a_pretended_host_is_refused_over_http_too(url: str) -> None:
    with requests.get(f"{url}/v1/dates", headers={"Host": "evil.example"}, timeout=PATIENCE) as response:
        assert response.status_code == 403


def test_a_request_without_any_host_is_refused(url: str) -> None:
    where = urlsplit(url)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=PATIENCE) as raw:
        raw.sendall(b"GET /v1/dates HTTP/1.0\r\n\r\n")
        assert raw.makefile("rb").readline().split()[1] == b"403"


def slow_app(entered: threading.Event, think: Callable[[], object]) -> Flask:
    app = Flask("slow")

    @app.get("/slow")
    def slow() -> str:
        entered.set()
        think()
        return "answer" * 500_000

    return app


def test_a_request_in_flight_is_answered_when_the_server_closes(caplog: pytest.LogCaptureFixture) -> None:
    # Given a request that takes a while, and a connection that idles
    entered = threading.Event()
    server = Server(slow_app(entered, lambda: time.sleep(0.5)), "127.0.0.1", 0)
    server.start()
    address = f"127.0.0.1:{server.port}"
    idle = http.client.HTTPConnection(address, timeout=PATIENCE)
    idle.request("GET", "/nowhere")
    idle.getresponse().read()
    got: list[str] = []
    asking = threading.Thread(
        target=lambda: got.append(requests.get(f"http://{address}/slow", timeout=PATIENCE).text)
    )
    asking.start()
    assert entered.wait(PATIENCE)
    # When the server closes
    with caplog.at_level(logging.WARNING):
        server.close()
    asking.join(PATIENCE)
    idle.close()
    # Then the answer arrived whole, nobody new is let in, and nothing was complained of
    assert got == ["answer" * 500_000]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    assert [said for said in caplog.messages if not OF_THREADS.search(said)] == []


def test_a_request_that_outlasts_the_grace_does_not_keep_the_server_open() -> None:
    entered, release = threading.Event(), threading.Event()
    server = Server(slow_app(entered, release.wait), "127.0.0.1", 0)
    server.start()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        connection.request("GET", "/slow")
        with pytest.raises((http.client.HTTPException, OSError)):
            connection.getresponse()
        connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    assert entered.wait(PATIENCE)
    began = time.monotonic()
    server.close(grace=0.2)
    assert time.monotonic() - began < 60
    asking.join(PATIENCE)
    assert not asking.is_alive()
    release.set()


def test_a_host_that_cannot_be_one_is_named() -> None:
    with pytest.raises(SettingsError, match=r"cannot listen on a\.\.b:8484: .*; choose --listen"):
        Server(Flask("empty"), "a..b", 8484)


def test_a_taken_address_is_named() -> None:
    first = Server(Flask("first"), "127.0.0.1", 0)
    first.start()
    taken = rf"cannot listen on 127.0.0.1:{first.port}: Address already in use"
    with pytest.raises(SettingsError, match=taken):
        Server(Flask("second"), "127.0.0.1", first.port)
    first.close()


def test_a_server_that_never_started_can_be_closed() -> None:
    Server(Flask("never"), "127.0.0.1", 0).close()


def one_word(word: str) -> Flask:
    app = Flask(word)
    app.add_url_rule("/", "word", lambda: word)
    return app


def test_requests_during_a_reload_wait_for_the_next_server_and_none_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given a server, and a client that has connected and not sent its request yet
    monkeypatch.setattr("backfilld.api.http.server.FIRST_REQUEST_SECONDS", PATIENCE)
    old = Server(one_word("old"), "127.0.0.1", 0)
    old.start()
    url = f"http://127.0.0.1:{old.port}/"
    early = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    early.connect()
    until(lambda: old._server.active_channels, "accepted")
    with ThreadPoolExecutor(1) as pool, contextlib.closing(early):
        # When the server closes, and its socket is handed over
        closing = pool.submit(old.close, PATIENCE, keep_listening=True)
        early.request("GET", "/")
        assert early.getresponse().read() == b"old"
        closing.result(PATIENCE)
        late = pool.submit(requests.get, url, timeout=PATIENCE)
        environment = listening_socket.hand_over(old.socket)
        inherited = listening_socket.inherited(environment)
        # Then the request that arrives in between is answered by the next one, at the same address
        new = Server(one_word("new"), "127.0.0.1", 0, inherited=inherited)
        new.start()
        assert late.result(PATIENCE).text == "new"
    assert (environment, new.port, new.socket.get_inheritable()) == ({}, old.port, False)
    new.close()
    old.socket.detach()


@pytest.mark.parametrize("variable", ["", "1:3", "3", "{pid}:", "{pid}:x"])
def test_a_socket_that_no_earlier_program_of_this_process_handed_over_is_not_used(variable: str) -> None:
    environment = {listening_socket.VARIABLE: variable.format(pid=os.getpid())}
    assert listening_socket.inherited(environment) is None
    assert environment == {}
