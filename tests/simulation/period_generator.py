"""Periods of a simulated world: processors of which one attempt takes a week or a month.

They come from random numbers of their own, so that a seed keeps the rest of its world.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.factories import Table
from tests.simulation.scenario import PipelineFile


def with_periods(
    seed: int, files: tuple[PipelineFile, ...], is_valid: Callable[[PipelineFile], bool]
) -> tuple[PipelineFile, ...]:
    """The files with periods of some processors, where they stay valid; most worlds have none."""
    rng = random.Random(f"periods {seed}")
    if rng.random() < 0.7:
        return files
    names = files[0].names
    drawn = {
        name: {"period": rng.choice(("week", "week", "month")), "command": ["true", *rng.choice(_RANGES)]}
        for name in rng.sample(names, min(len(names), rng.choice((1, 1, 2))))
    }

    def changed(one: Table) -> Table:
        return {**{k: v for k, v in one.items() if k != "batch"}, **drawn[one["name"]]}

    found = []
    for file in files:
        new = file.with_processors(lambda one: changed(one) if one["name"] in drawn else one)
        found.append(new if is_valid(new) else file)
    return tuple(found)


_RANGES = (("{dates}",), ("{start}", "{end}"))
