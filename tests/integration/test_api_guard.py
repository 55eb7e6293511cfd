"""Who may come in: hosts, origins, request ids; and what happens when something is wrong inside."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from backfilld.daemon.settings import SettingsError
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.state.store.database_errors import DatabaseUnavailable
from tests.integration.api_world import Api, make_api, refused

TOKEN = "bfd_" + 43 * "x"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8484", "127.0.0.1", "127.0.0.1:9999", "[::1]:8484"])
def test_this_machine_is_let_in_under_its_own_names(api: Api, host: str) -> None:
    assert api.client.get("/v1/progress", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8484",
        "localhost@evil",
        "",
        "[::2]:1",
    ],
)
def test_a_name_that_only_pretends_to_be_this_machine_stays_outside(api: Api, host: str) -> None:
    response = api.client.get("/v1/progress", headers={"Host": host})
    _, message = refused(response, 403)
    assert "is not this daemon" in message


def test_the_address_it_listens_on_is_a_name_of_its_own(tmp_path: Path) -> None:
    api = make_api(tmp_path, host="::1")
    assert api.client.get("/livez", headers={"Host": "[::1]:8484"}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "nba.example"])
def test_without_tokens_it_is_open_to_this_machine_only(tmp_path: Path, host: str) -> None:
    with pytest.raises(SettingsError, match=f"without tokens .* {host} is open to others"):
        make_api(tmp_path, host=host)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "http://[", "x"])
def test_pages_of_other_sites_may_not_change_anything(api: Api, origin: str) -> None:
    # Given a page of another site, which sends what a form can send
    headers = {"Host": "localhost:8484", "Origin": origin}
    # When it pauses everything, it is refused, and nothing is paused
    refused(api.client.post("/v1/pause", headers=headers), 403)
    refused(api.client.delete("/v1/holds/warehouse", headers=headers), 403)
    assert api.get("/v1/holds")["items"] == []
    assert api.behind.woken == 0


def test_its_own_page_may_change_things(api: Api) -> None:
    headers = {"Host": "localhost:8484", "Origin": "http://localhost:8484"}
    assert api.client.post("/v1/pause", headers=headers).status_code == 200


def test_a_request_id_is_echoed_or_made(api: Api) -> None:
    given = api.client.get("/livez", headers={"X-Request-Id": "run-7.a:b_c"})
    assert given.headers["X-Request-Id"] == "run-7.a:b_c"
    made = {
        api.client.get("/livez", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        for bad in ("", "a b", "ü", TOKEN, f"run-7:{TOKEN}")
    }
    assert len(made) == 5
    assert all(len(text) == 32 for text in made)
    assert "X-Request-Id" in api.client.get("/nowhere").headers


def test_changes_are_logged_with_who_asked(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="backfilld.api.auth.request_guard"):
        api.client.get("/v1/progress")
        api.client.post("/v1/pause", headers={"X-Request-Id": "r1", "X-Actor": "somebody"})
    assert [record.message for record in caplog.records] == [
        "POST '/v1/pause' by anonymous: 200 (request r1)"
    ]


def test_an_error_nobody_foresaw_is_a_problem_that_tells_nothing_of_the_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a bug
    def bug() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(api.behind.commands, "holds", bug)
    # When a request meets it
    with caplog.at_level(logging.INFO, logger="backfilld.api.auth.request_guard"):
        response = api.client.get("/v1/holds", headers={"X-Request-Id": "r2"})
    # Then the client is told where to look, and the log has it
    _, message = refused(response, 500)
    assert message == "unexpected error; see the log for request r2"
    assert "secret" not in response.text
    assert "ZeroDivisionError: secret" in caplog.text
    assert "(request r2)" in caplog.text


@pytest.mark.parametrize(
    "error",
    [WarehouseError("no route to host"), DatabaseUnavailable("state.db: another process has locked it")],
)
def test_what_may_be_better_later_says_when_to_ask_again(
    api: Api, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(api.behind.commands, "holds", fail)
    response = api.client.get("/v1/holds")
    refused(response, 503)
    assert int(response.headers["Retry-After"]) > 0


def test_answers_are_not_guessed_at_nor_kept(api: Api) -> None:
    headers = api.client.get("/v1/progress").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
