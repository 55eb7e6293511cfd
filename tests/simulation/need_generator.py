"""Needs of a simulated world: windows of single processors, dates that depend on their past, lookbacks."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from tests.factories import Table


def with_needs(rng: random.Random, phases: Sequence[Table]) -> tuple[Table, ...]:
    """The phases with needs drawn for some of their processors; most worlds have none."""
    if rng.random() < 0.6:
        return tuple(phases)
    earlier: list[str] = []
    drawn: list[Table] = []
    for one in phases:
        processors = [_with_needs(rng, p, earlier) for p in one["processor"]]
        lookback = {"lookback": rng.choice((1, 2))} if earlier and rng.random() < 0.2 else {}
        drawn.append({**one, **lookback, "processor": processors})
        earlier += [p["name"] for p in processors]
    return tuple(drawn)


def with_known_needs(phases: Iterable[Table]) -> tuple[Table, ...]:
    """The phases without needs of processors that an edit of the file took away."""
    edited = tuple(phases)
    names = [p["name"] for one in edited for p in one["processor"]]
    for one in edited:
        for p in one["processor"]:
            if "needs" in p:
                p["needs"] = [need for need in p["needs"] if need.get("of", names[0]) in names]
    return edited


def _with_needs(rng: random.Random, processor: Table, earlier: Sequence[str]) -> Table:
    needs: list[Table] = []
    if earlier and rng.random() < 0.4:
        needs.append({"of": rng.choice(earlier), **_window(rng)})
    # Not in the first phase: where a request lets no source run, what is stale there stays so.
    alone = "batch" not in processor and bool(earlier)
    if alone and rng.random() < 0.2:
        needs.append({"self": True, **_window(rng)})
    past = alone and rng.random() < 0.3
    stated = {"needs": needs} if needs else {}
    return {**processor, **stated, **({"depends_on_past": True} if past else {})}


def _window(rng: random.Random) -> Table:
    return rng.choice(
        ({"days_back": 1}, {"days_back": 2}, {"since": "week"}, {"since": "month"}, {"since": "season"})
    )
