"""The page in a real browser, over the real API and engine in a simulated world."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import looking
from tests.integration.api_world import Api, listening, make_api


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return make_api(tmp_path)


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with listening(api.app) as url:
        yield url


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    with looking(chromium, url) as page:
        yield page
