"""Outputs that run again alone: a processor by an operator's retry, a provisional output by its refresh.

Both come from random numbers of their own, so that a seed keeps the rest of its world.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Collection, Iterator, Sequence
from zoneinfo import ZoneInfo

from backfilld.state.rules.refresh_schedule import date_end
from tests.simulation.scenario import AT_REST, ExternalEvent, PipelineFile, Scenario

WITHIN = 3000.0
"""Seconds from the start in which an output runs again."""


def drawn(
    base: Scenario, files: Sequence[PipelineFile], span: Sequence[dt.date]
) -> tuple[tuple[PipelineFile, ...], list[ExternalEvent]]:
    """The files and events of a world: in some, processors are retried alone, or outputs are refreshed."""
    rng = random.Random(f"reruns {base.seed}")
    names = files[0].names
    events = list(_retries(rng, names, span)) if rng.random() < 0.25 else []
    if rng.random() < 0.25 and (ages := _ages(rng, base.start, span)):
        chosen = set(rng.choices(names, k=rng.choice((1, 1, 2))))
        files = [_with_refresh(file, chosen, ages) for file in files]
        events += _refreshes(rng)
    return tuple(files), events


def _retries(rng: random.Random, names: Sequence[str], span: Sequence[dt.date]) -> Iterator[ExternalEvent]:
    for _ in range(rng.choice((1, 2, 4))):
        args = {"processor": rng.choice(names), "date": rng.choice(span)}
        yield _at(rng, "retry_processor", rng.choice(("", AT_REST)), **args)


def _refreshes(rng: random.Random) -> Iterator[ExternalEvent]:
    for _ in range(rng.choice((2, 4, 8))):
        yield _at(rng, "refresh", rng.choice(("", AT_REST)))


def _ages(rng: random.Random, start: float, span: Sequence[dt.date]) -> list[int]:
    """Ages in seconds that dates of the world reach at some time within it."""
    chosen = rng.sample(span, min(len(span), rng.choice((1, 2, 3))))
    ages = (int(start + rng.uniform(60.0, WITHIN) - date_end(date, ZoneInfo("UTC"))) for date in chosen)
    return [age for age in ages if age > 0]


def _with_refresh(file: PipelineFile, names: Collection[str], ages: Sequence[int]) -> PipelineFile:
    late = {"final_after": f"{max(ages)}s", "refresh": [f"{age}s" for age in ages]}
    return file.with_processors(lambda one: {**one, **late} if one["name"] in names else one)


def _at(rng: random.Random, verb: str, point: str, **args: object) -> ExternalEvent:
    at = round(rng.uniform(0, rng.choice((300.0, WITHIN))), 1)
    skip = 0 if point else rng.choice((0, 1, 3, 8))
    return ExternalEvent(at=at, skip=skip, verb=verb, args=args, point=point)
