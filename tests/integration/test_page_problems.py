"""What a browser and a program get where nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.api_with_tokens import make_door
from tests.integration.api_world import Api, refused

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/dats", "/v1/backfils", "/dates/2021-10-19/", "/static/no.css"])
def test_a_browser_gets_a_page_with_links_where_nothing_is(api: Api, path: str) -> None:
    response = api.client.get(path, headers=BROWSER)
    assert response.status_code == 404
    assert response.content_type == "text/html; charset=utf-8"
    assert "Back to the overview" in response.text
    assert 'href="/validation"' in response.text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/json, text/html"])
def test_a_program_gets_json_where_nothing_is(api: Api, accept: str) -> None:
    refused(api.client.get("/dats", headers={"Accept": accept} if accept else {}), 404)


def test_a_browser_without_a_login_is_sent_to_it_from_everywhere(tmp_path: Path) -> None:
    response = make_door(tmp_path).ask("GET", "/dats", headers=BROWSER)
    assert (response.status_code, response.headers["Location"]) == (302, "/login?next=/dats")


def test_a_browser_that_sends_a_page_the_wrong_method_gets_a_page(api: Api) -> None:
    response = api.client.put("/validation", headers=BROWSER)
    assert (response.status_code, response.mimetype) == (405, "text/html")


def test_a_route_of_the_api_answers_json_to_a_browser_too(api: Api) -> None:
    refused(api.client.get("/v1/dates/2021-10-19", headers=BROWSER), 404)
