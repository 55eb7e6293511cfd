"""Provisional outputs in the API, on the page and on the terminal."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from backfilld.api.cli import show_date
from tests.factories import phase, pipeline, processor
from tests.integration.api_world import Api, make_api

DATE = "2021-10-19"
FINAL = "2026-10-19T00:00:00.000Z"
"""1,825 days after the midnight that ends the date. A simulated world begins in 2025."""


@pytest.fixture
def api(tmp_path: Path) -> Api:
    sources = processor("late", final_after="1825d"), processor("final", final_after="365d")
    made = make_api(tmp_path, made=lambda: pipeline(phase("raw", *sources, processor("plain"))))
    made.enqueue(DATE, DATE)
    return made


def until(api: Api) -> dict[str, str | None]:
    detail = api.get(f"/v1/dates/{DATE}")
    return {check["processor"]: check["provisional_until"] for check in detail["processors"]}


def test_nothing_is_provisional_before_it_is_complete(api: Api) -> None:
    api.world.settle()
    assert until(api) == {"late": None, "final": None, "plain": None}


def test_a_complete_output_is_provisional_until_its_age_is_reached(api: Api) -> None:
    # Given three complete outputs, one of which is younger than its final_after
    api.world.run()
    # Then the API, the page and the terminal say until when that one is provisional, and of no other
    assert until(api) == {"late": FINAL, "final": None, "plain": None}
    page = api.client.get(f"/dates/{DATE}").text
    assert page.count("provisional until 2026-10-19 00:00:00 UTC") == page.count("provisional") == 1
    shown = show_date.lines(api.get(f"/v1/dates/{DATE}"), dt.datetime.now(dt.UTC))
    words = f"provisional until {dt.datetime.fromisoformat(FINAL).astimezone():%Y-%m-%d %H:%M %Z}"
    assert [line.plain.strip() for line in shown if "provisional" in line.plain] == [words]
