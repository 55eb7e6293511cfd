"""What operators do with many dates at once: holds, retries and acceptances of ranges, lists of dates.

Drawn apart, so that a seed keeps the rest of its world.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.simulation.scenario import AT_REST, ExternalEvent

SHARE = 0.3
"""In how many worlds operators do so."""


def steering_events(seed: int, span: Sequence[dt.date], names: Sequence[str]) -> list[ExternalEvent]:
    """The events of a world; most worlds have none."""
    rng = random.Random(f"steering {seed}")
    if rng.random() >= SHARE:
        return []
    drawn: tuple[Callable[[], Iterator[ExternalEvent]], ...] = (
        lambda: _hold(rng, names),
        lambda: _retry(rng, span, names),
        lambda: _retry(rng, span, names),
        lambda: _accept(rng, span, names),
        lambda: _listed(rng, span, names),
        lambda: _again_at_once(rng, span, names),
    )
    return [one for _ in range(rng.choice((1, 2, 4))) for one in rng.choice(drawn)()]


def _hold(rng: random.Random, names: Sequence[str]) -> Iterator[ExternalEvent]:
    """An operator holds a processor, a table or the warehouse, and may release it."""
    name = rng.choice(names)
    kind, key = rng.choice((("processor", name), ("table", f"nba.{name}"), ("warehouse", "")))
    at = rng.uniform(0, 300.0)
    yield _event(rng, at, "hold", kind=kind, key=key, reason="audit")
    if rng.random() < 0.7:
        yield _event(rng, at + rng.choice((1.0, 60.0, 600.0)), "release", kind=kind, key=key)


def _retry(rng: random.Random, span: Sequence[dt.date], names: Sequence[str]) -> Iterator[ExternalEvent]:
    """A range is retried: what failed and regressed, by state, with its cascade, or some processors alone."""
    how: dict[str, Any] = rng.choice(
        (
            {},
            {"states": ("failed",)},
            {"states": ("done",), "cascades": True},
            {"cascades": True},
            {"force": True, "cascades": rng.random() < 0.5},
            {"processors": tuple(sorted(rng.sample(names, min(len(names), 2))))},
        )
    )
    yield _event(rng, rng.uniform(0, 3000.0), "retry_range", **_range(rng, span), **how)


def _accept(rng: random.Random, span: Sequence[dt.date], names: Sequence[str]) -> Iterator[ExternalEvent]:
    """The gaps of a range are accepted: of all processors that were tried, or of one in advance."""
    chosen = rng.choice(((), (rng.choice(names),)))
    yield _event(rng, rng.uniform(0, 600.0), "accept_range", **_range(rng, span), processors=chosen)


def _listed(rng: random.Random, span: Sequence[dt.date], names: Sequence[str]) -> Iterator[ExternalEvent]:
    """A request for single dates with others between them."""
    dates = tuple(sorted(rng.sample(span, rng.randint(1, len(span)))))
    yield _event(rng, rng.uniform(0, 600.0), "enqueue_dates", dates=dates, **_options(rng, names))


def _again_at_once(
    rng: random.Random, span: Sequence[dt.date], names: Sequence[str]
) -> Iterator[ExternalEvent]:
    """A backfill is cancelled, and its dates are asked for while it is being cancelled."""
    at, point = rng.uniform(0, 300.0), rng.choice(("", AT_REST))
    for verb, args in (
        ("cancel", {"backfill_id": rng.choice((1, 1, 2))}),
        (rng.choice(("enqueue", "retry_range")), _range(rng, span)),
    ):
        more = _options(rng, names) if verb == "enqueue" else {}
        yield ExternalEvent(at=round(at, 1), skip=0, verb=verb, args={**args, **more}, point=point)


def _range(rng: random.Random, span: Sequence[dt.date]) -> dict[str, Any]:
    first, last = sorted(rng.choices(span, k=2))
    return {"start": first, "end": last}


def _options(rng: random.Random, names: Sequence[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rng.random() < 0.4:
        options["selection"] = tuple(sorted(rng.sample(names, rng.randint(1, len(names)))))
    if rng.random() < 0.2:
        options["force"] = True
    return options


def _event(rng: random.Random, at: float, verb: str, **args: Any) -> ExternalEvent:
    point = rng.choice(("", "", AT_REST))
    skip = 0 if point else rng.choice((0, 1, 3, 8))
    return ExternalEvent(at=round(at, 1), skip=skip, verb=verb, args=args, point=point)
