"""Responses are small and cached as clients expect: gzip, ETag, 304 on an open connection."""

from __future__ import annotations

import gzip
import http.client
from urllib.parse import urlsplit

import pytest

from tests.integration.api_world import Api
from tests.timeouts import PATIENCE

TAGGED = ("/", "/?part=page", "/?part=calendar", "/v1/calendar")


@pytest.fixture
def busy(api: Api) -> Api:
    """An API with dates, so that its responses are large."""
    api.enqueue("2021-10-18", "2021-11-20")
    return api


def test_a_large_response_is_compressed_for_whoever_accepts_it(busy: Api) -> None:
    plain = busy.client.get("/v1/dates")
    packed = busy.client.get("/v1/dates", headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 4
    assert int(packed.headers["Content-Length"]) == len(packed.data)


def test_a_cache_keeps_both_encodings_apart(busy: Api) -> None:
    for encoding in ("gzip", "identity"):
        assert busy.client.get("/v1/dates", headers={"Accept-Encoding": encoding}).vary.as_set() == {
            "accept-encoding"
        }


@pytest.mark.parametrize("encoding", ["", "identity", "gzip;q=0", "br"])
def test_a_response_is_plain_for_whoever_does_not_accept_gzip(busy: Api, encoding: str) -> None:
    assert (
        "Content-Encoding" not in busy.client.get("/v1/dates", headers={"Accept-Encoding": encoding}).headers
    )


def test_a_small_response_is_plain(api: Api) -> None:
    response = api.client.get("/livez", headers={"Accept-Encoding": "gzip"})
    assert response.data == b"ok\n"
    assert "Content-Encoding" not in response.headers


@pytest.mark.parametrize("path", TAGGED)
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_response_with_a_tag_may_be_kept_and_is_not_sent_twice(busy: Api, path: str, encoding: str) -> None:
    headers = {"Accept-Encoding": encoding}
    first = busy.client.get(path, headers=headers)
    assert first.status_code == 200
    assert "no-store" not in first.headers["Cache-Control"]
    assert "no-cache" in first.headers["Cache-Control"]
    again = busy.client.get(path, headers={**headers, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.get_etag()[0] == first.get_etag()[0]


def test_a_response_without_a_tag_is_not_kept(api: Api) -> None:
    assert api.client.get("/v1/dates").headers["Cache-Control"] == "no-store"


def test_a_304_keeps_the_connection_open(busy: Api, url: str) -> None:
    # Given a connection, with a response whose tag is known
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    connection.request("GET", "/v1/calendar")
    response = connection.getresponse()
    tag = str(response.getheader("ETag"))
    response.read()
    first = connection.sock
    # When it is polled
    for _ in range(3):
        connection.request("GET", "/v1/calendar", headers={"If-None-Match": tag})
        response = connection.getresponse()
        response.read()
        # Then nothing has changed, and the connection is the same
        assert (response.status, response.getheader("Connection")) == (304, None)
        assert connection.sock is first
    connection.close()


def test_a_304_closes_the_connection_of_a_client_that_asks_for_it(busy: Api, url: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)
    tag = busy.client.get("/v1/calendar").headers["ETag"]
    connection.request("GET", "/v1/calendar", headers={"If-None-Match": tag, "Connection": "close"})
    response = connection.getresponse()
    assert (response.status, response.getheader("Connection")) == (304, "close")
    response.read()
    connection.close()
