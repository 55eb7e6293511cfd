"""Requests of up to four backfills for the same dates, drawn apart: a seed keeps the rest of its world."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator

from tests.simulation.scenario import ExternalEvent

MOST_BACKFILLS = 4


def sharing_events(seed: int, span: list[dt.date], names: list[str]) -> Iterator[ExternalEvent]:
    """In a third of the worlds: more requests for the dates, and what their operators do with them."""
    rng = random.Random(f"sharing {seed}")
    if rng.random() < 0.65:
        return
    for _ in range(rng.choice((1, 2, 3))):
        first, last = sorted(rng.choices(range(len(span)), k=2))
        request = {"start": span[first], "end": span[last], "priority": rng.choice((0, 0, 1, 5))}
        if rng.random() < 0.3:
            request["force"] = True
        if rng.random() < 0.3:
            request["sources"] = rng.choice(("critical", "none"))
        if rng.random() < 0.5:
            request["selection"] = tuple(sorted(rng.sample(names, rng.randint(1, len(names)))))
        yield _at(rng, "enqueue", **request)
    for _ in range(rng.choice((1, 2, 4))):
        verb = rng.choice(("cancel", "cancel", "pause", "resume", "retry"))
        yield _at(rng, verb, backfill_id=rng.randint(1, MOST_BACKFILLS))


def _at(rng: random.Random, verb: str, **args: object) -> ExternalEvent:
    at = round(rng.uniform(0, rng.choice((60.0, 300.0))), 1)
    return ExternalEvent(at=at, skip=rng.choice((0, 1, 3, 8, 21)), verb=verb, args=args)
