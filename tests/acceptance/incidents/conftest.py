"""Where the incidents come to pass: a checkout of the platform, and a small world of its shape."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from tests.acceptance.incidents.incident_driver import OPENER, well
from tests.checkout import Checkout, make
from tests.factories import phase, pipeline, processor
from tests.simulation.world import World


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return make(tmp_path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two sources, two analytics tables and two strict steps; 40 days of games from the opener on."""
    games = {OPENER + dt.timedelta(days=n): 8 for n in range(40)}
    two = {"rows_per": {"games": [2, 2]}}
    shape = pipeline(
        phase("phase2", processor("box", expect=two), processor("pbp", priority="fallback")),
        phase("phase3", processor("team", expect=two), processor("player", after=["team"])),
        phase("phase4", processor("zones"), processor("factors"), order="sequential", lookback=0),
        jobs={"slots": 8, "backoff": "10s", "timeout": "30m", "idle_timeout": "10m", "breaker_threshold": 0},
    )
    return well(World(shape, games, tmp_path))
