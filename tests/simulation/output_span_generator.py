"""Output spans of a simulated world: `since` and `until` of some processors, which edits move.

They come from random numbers of their own, so that a seed keeps the rest of its world.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence

from tests.factories import Table
from tests.simulation.scenario import PipelineFile

SHARE = 0.2
"""In how many worlds some processors have output only from or until a date."""


def with_output_spans(
    seed: int,
    files: tuple[PipelineFile, ...],
    span: Sequence[dt.date],
    is_valid: Callable[[PipelineFile], bool],
) -> tuple[PipelineFile, ...]:
    """The files with spans of some processors, where they stay valid; most worlds have none."""
    rng = random.Random(f"output spans {seed}")
    if rng.random() >= SHARE:
        return files
    names = files[0].names
    chosen = rng.sample(names, min(len(names), rng.choice((1, 1, 2))))
    drawn = {name: _keys(rng, span) for name in chosen}
    found = []
    for file in files:
        moved = {name: _keys(rng, span) if rng.random() < 0.3 else keys for name, keys in drawn.items()}
        drawn = moved
        new = file.with_processors(lambda one, moved=moved: {**one, **moved.get(one["name"], {})})
        found.append(new if is_valid(new) else file)
    return tuple(found)


def _keys(rng: random.Random, span: Sequence[dt.date]) -> Table:
    """Half a span, a whole one, or none."""
    first, last = sorted(rng.choices(span, k=2))
    return rng.choice(({"since": first}, {"until": last}, {"since": first, "until": last}, {}))
