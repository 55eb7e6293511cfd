"""Fixtures of the simulated worlds."""

import pytest

from tests.simulation.one_table import DATES, shape
from tests.simulation.world import World


@pytest.fixture
def worlds(tmp_path):
    opened = []

    def open_world(made=None):
        opened.append(World(made or shape(), dict.fromkeys(DATES, 2), tmp_path))
        return opened[-1]

    yield open_world
    for world in opened:
        world.db.close()
