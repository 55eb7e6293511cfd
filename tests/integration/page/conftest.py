"""The page in a real browser, over the real API and engine in a simulated world."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser import browse


@pytest.fixture
def page(chromium: Browser, url: str) -> Iterator[Page]:
    with browse(chromium, url) as page:
        yield page
