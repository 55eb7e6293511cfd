"""Pools of a simulated world: some of its processors share one or two slots; most worlds have none."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.factories import Table

POOL = "shared"


def with_pool(
    rng: random.Random, phases: Sequence[Table], settings: Table
) -> tuple[tuple[Table, ...], Table]:
    """The phases and settings with a pool that some processors name, or as they are."""
    if rng.random() < 0.7:
        return tuple(phases), settings
    pooled = tuple(
        {**one, "processor": [_drawn(rng, processor) for processor in one["processor"]]} for one in phases
    )
    return pooled, {**settings, "pool": [{"name": POOL, "size": rng.choice((1, 1, 2))}]}


def _drawn(rng: random.Random, processor: Table) -> Table:
    return {**processor, "pool": POOL} if rng.random() < 0.6 else processor
