"""With tokens on: every route of the document needs its scope, and nothing is open that should not be."""

from __future__ import annotations

import logging
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from backfilld.api.auth.request_guard import COOKIE
from backfilld.api.auth.tokens import Scope, mint
from backfilld.api.openapi import document
from backfilld.api.routes import SECTIONS
from tests.integration.api_with_tokens import Door, make_door, scope_of
from tests.integration.api_world import make_api, refused

DOCUMENT = document(SECTIONS)
OPERATIONS = [
    (method.upper(), path, about)
    for path, item in DOCUMENT["paths"].items()
    for method, about in item.items()
]
OPEN = {"/livez", "/readyz", "/healthz", "/login", "/logout"}
GIVEN = {"id": "1", "date": "2021-10-19", "processor": "box", "kind": "warehouse", "key": "box"}
PAGE = {"Host": "localhost:8484", "Origin": "http://localhost:8484"}


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return make_door(tmp_path)


def test_a_probe_needs_no_token_and_reasons_need_one(door: Door) -> None:
    # Given a hold of an operator, and a check that fails
    door.ask("POST", "/v1/pause", door.operate, json={"reason": "the auditors are here"})
    door.api.behind.wrong["warehouse"] = "db.internal: no route to host"
    # Then a probe learns what fails, and nothing that people wrote or hosts are named
    for token in ("", mint("stranger", Scope.OPERATE)[0]):
        probe = door.ask("GET", "/readyz", token)
        assert (probe.status_code, probe.text) == (
            503,
            "warehouse: failed; a token with the scope 'read' shows more\n",
        )
        assert door.ask("GET", "/readyz?verbose", token).text.splitlines() == [
            "[+] engine ok",
            "[-] warehouse failed; a token with the scope 'read' shows more",
            "[!] notes: 1; a token with the scope 'read' shows more",
            "warehouse: failed; a token with the scope 'read' shows more",
        ]
    # And whoever may read sees why
    for token in (door.read, door.operate):
        shown = door.ask("GET", "/readyz?verbose", token).text
        assert "db.internal: no route to host" in shown
        assert "everything is paused by ana: the auditors are here" in shown
    # And once it is well, the probe passes, also where the token file is unusable
    door.api.behind.wrong["warehouse"] = ""
    door.file.write_text("nonsense")
    assert door.ask("GET", "/readyz").text == "ok\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Door:
    return make_door(tmp_path_factory.mktemp("shared"))


@pytest.mark.parametrize(("method", "path", "about"), OPERATIONS)
def test_a_route_is_open_to_its_scope_alone(shared: Door, method: str, path: str, about: Any) -> None:
    # Given a route, the scope that the document says, and every kind of caller
    needed = scope_of(about)
    assert (needed is None) == (path in OPEN)
    assert needed in (None, Scope.READ if method == "GET" else Scope.OPERATE)
    url = path.format(**GIVEN)
    stranger, _ = mint("stranger", Scope.OPERATE)
    statuses = {
        who: shared.ask(method, url, token).status_code
        for who, token in {
            "nobody": "",
            "stranger": stranger,
            "nonsense": "x",
            "read": shared.read,
            "operate": shared.operate,
        }.items()
    }
    # Then who lacks it is refused before anything else is looked at, and who has it is not
    refusal = {
        **dict.fromkeys(("nobody", "stranger", "nonsense"), needed and 401),
        "read": 403 if needed is Scope.OPERATE else None,
        "operate": None,
    }
    for who, status in refusal.items():
        if status is None:
            assert path == "/login" or statuses[who] not in (401, 403), (who, statuses)
        else:
            assert statuses[who] == status, (who, statuses)


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/dates/2021-10-19/nothing"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS", "HEAD", "TRACE"])
def test_what_is_not_there_tells_a_stranger_nothing(shared: Door, method: str, path: str) -> None:
    assert shared.ask(method, path).status_code == 401
    assert shared.ask(method, path, shared.read).status_code in (404, 405)


def test_head_needs_what_get_needs(shared: Door) -> None:
    assert shared.ask("HEAD", "/v1/dates").status_code == 401
    assert shared.ask("HEAD", "/v1/dates", shared.read).status_code == 200
    assert shared.ask("HEAD", "/livez").status_code == 200


def test_a_refusal_says_what_is_missing(door: Door) -> None:
    nobody = door.ask("GET", "/v1/progress")
    _, message = refused(nobody, 401)
    assert message == "this needs a token with the scope 'read': Authorization: Bearer TOKEN"
    assert nobody.headers["WWW-Authenticate"] == "Bearer realm=backfilld"
    unknown = door.ask("GET", "/v1/progress", "bfd_wrong")
    _, message = refused(unknown, 401)
    assert message == "this token is not known"
    assert unknown.headers["WWW-Authenticate"] == "Bearer realm=backfilld, error=invalid_token"
    _, message = refused(door.ask("POST", "/v1/pause", door.read), 403)
    assert message == "this needs the scope 'operate'; the token 'grafana' has 'read'"
    assert door.api.behind.woken == 0


@pytest.mark.parametrize("header", ["Basic {}", "{}", "Bearer", "Bearer {} {}", "Bearer\t{}", "Token {}"])
def test_only_a_bearer_token_is_one(door: Door, header: str) -> None:
    given = {"Authorization": header.format(door.read, door.read)}
    assert door.api.client.get("/v1/progress", headers=given).status_code == 401
    assert (
        door.api.client.get("/v1/progress", headers={"Authorization": f"bEARER  {door.read}"}).status_code
        == 200
    )


def test_who_asked_is_known_by_the_name_of_the_token(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="backfilld.api.auth.request_guard"):
        door.ask("POST", "/v1/pause", door.operate, json={"reason": "lunch"}, headers={"X-Request-Id": "r1"})
    assert caplog.messages == ["POST '/v1/pause' by ana: 200 (request r1)"]
    (hold,) = door.api.world.commands.holds()
    assert (hold.actor, hold.reason) == ("ana", "lunch")
    assert door.ask("GET", "/v1/whoami", door.read).json == {"name": "grafana", "scope": "read"}


def test_a_token_is_rotated_and_revoked_without_a_restart(door: Door) -> None:
    # Given a second token of the same name, written beside the first
    new, line = mint("ana", Scope.OPERATE)
    door.file.write_text(door.file.read_text() + line)
    assert door.ask("GET", "/v1/whoami", new).json == door.ask("GET", "/v1/whoami", door.operate).json
    # When the first is taken out, it is refused at once
    door.file.write_text(line)
    assert door.ask("GET", "/v1/whoami", door.operate).status_code == 401
    assert door.ask("GET", "/v1/whoami", new).status_code == 200


def test_a_token_file_that_became_unusable_admits_nobody(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.file.write_text(f"{door.file.read_text()}\nana operate {door.operate}")
    response = door.ask("GET", "/v1/progress", door.operate)
    _, message = refused(response, 503)
    assert message == "the token file cannot be used; the daemon's log says why"
    assert "line 4 of the token file" in caplog.text
    assert door.operate not in caplog.text
    assert door.ask("GET", "/livez", door.operate).status_code == 200
    refused(door.ask("POST", "/login", json={"token": door.operate}), 503)


def test_a_browser_logs_in_once_and_scripts_never_see_the_session(door: Door) -> None:
    # When a page of its own sends the token
    client = door.api.app.test_client()
    answer = client.post("/login", json={"token": door.operate}, headers=PAGE)
    # Then what follows needs the cookie alone, which is not the token and no script can read
    assert answer.json == {"name": "ana", "scope": "operate"}
    cookie = answer.headers["Set-Cookie"]
    assert cookie.endswith("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict")
    assert door.operate not in cookie
    assert client.get("/v1/whoami").json == {"name": "ana", "scope": "operate"}
    assert client.post("/v1/pause", headers=PAGE).status_code == 200
    # And pages of other sites can do nothing with it, other ports of this machine included
    for origin in ("https://evil.example", "http://localhost:3000", "null"):
        refused(client.post("/v1/resume", headers={**PAGE, "Origin": origin}), 403)
    # And after a logout a copy of the cookie is worth nothing
    stolen = client.get_cookie(COOKIE)
    assert stolen is not None
    assert client.post("/logout", headers=PAGE).status_code == 200
    assert client.get_cookie(COOKIE) is None
    client.set_cookie(COOKIE, stolen.value)
    assert client.get("/v1/whoami").status_code == 401


def test_a_session_ends_with_its_token_and_has_no_more_than_its_scope(door: Door) -> None:
    client = door.api.app.test_client()
    client.post("/login", json={"token": door.read}, headers=PAGE)
    refused(client.post("/v1/pause", headers=PAGE), 403)
    door.file.write_text(mint("grafana", Scope.READ)[1])
    assert client.get("/v1/whoami").status_code == 401


def test_over_tls_the_cookie_stays_on_tls(door: Door) -> None:
    headers = {"Host": "localhost", "Origin": "https://localhost"}
    answer = door.api.client.post("/login", json={"token": door.read}, headers=headers)
    assert answer.headers["Set-Cookie"].endswith("; SameSite=Strict; Secure")


def test_a_login_without_a_known_token_is_refused(door: Door, tmp_path: Path) -> None:
    _, message = refused(door.api.client.post("/login", json={"token": "bfd_guess"}), 401)
    assert message == "this token is not known"
    assert refused(door.api.client.post("/login", json={}), 422)[0] == "token"
    (tmp_path / "plain").mkdir()
    _, message = refused(make_api(tmp_path / "plain").client.post("/login", json={"token": "x"}), 409)
    assert "no login is needed" in message


@pytest.mark.parametrize(
    "wanted", ["/", "/?endpoint=x", "/enqueue?_method=POST&note=%C3%A4%26b", "/dates/2021-10-19?x=1&x=2"]
)
def test_a_browser_without_a_session_is_led_to_the_login_and_from_there_to_what_it_wanted(
    shared: Door, wanted: str
) -> None:
    answer = shared.ask("GET", f"{wanted}{'&' if '?' in wanted else '?'}part=main")
    assert answer.status_code == 302
    address = urlsplit(answer.headers["Location"])
    assert (address.path, parse_qs(address.query)) == ("/login", {"next": [wanted]})
    assert f'data-go="{escape(wanted)}"' in shared.ask("GET", answer.headers["Location"]).text


@pytest.mark.parametrize(
    "elsewhere",
    ["https://example.org/", "//example.org/", "/\\example.org/", "/\t/example.org/", "/\n/example.org/", ""],
)
def test_a_login_never_leads_to_another_site(shared: Door, elsewhere: str) -> None:
    assert 'data-go="/"' in shared.ask("GET", "/login", query_string={"next": elsewhere}).text


def test_with_tokens_it_may_listen_anywhere_under_the_names_it_was_given(tmp_path: Path) -> None:
    door = make_door(tmp_path, host="0.0.0.0", allowed_hosts=("nba.example", "10.0.0.7"))
    for host in ("nba.example", "NBA.example:8484", "10.0.0.7:8484", "localhost"):
        assert door.ask("GET", "/livez", headers={"Host": host}).status_code == 200
    _, message = refused(door.ask("GET", "/livez", headers={"Host": "evil.example"}), 403)
    assert "--allowed-host NAME" in message


def test_too_many_requests_are_told_when_to_come_back(tmp_path: Path) -> None:
    # Given an API that takes one request of each client every ten seconds
    door = make_door(tmp_path, rate=0.1)
    assert door.ask("GET", "/v1/whoami", door.read).status_code == 200
    # Then the second is told to wait, and what it has spent is not another's
    response = door.ask("GET", "/v1/whoami", door.read)
    _, message = refused(response, 429)
    assert message == "more requests than 0.1 a second; try again later"
    assert 1 <= int(response.headers["Retry-After"]) <= 10
    assert door.ask("GET", "/v1/whoami", door.operate).status_code == 200
    # And guessing tokens is as slow, whatever is guessed
    guesses = [door.ask("GET", "/v1/whoami", mint("x", Scope.READ)[0]).status_code for _ in range(3)]
    assert guesses == [401, 429, 429]
