"""What one seed means: a pipeline, a calendar, a warehouse as it is found, requests, faults, bad jobs.

Everything that happens is written down beforehand, so that a story can be told without any part of it.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from state.pipeline import Pipeline
from tests.factories import Table, phase, pipeline, processor

OPENER = dt.date(2021, 10, 19)
START = 1_760_000_000.0
"""When every story begins, in epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that comes from outside: a request, a fault, a kill.

    It comes at the named point that is passed `skip` points after `at` (seconds after the start). A kill
    names its point and skips as many of that name. When all is at rest for good, it comes then.
    """

    at: float
    skip: int
    verb: str
    args: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = ", ".join(f"{key}={value}" for key, value in self.args.items())
        return f"{self.verb}({told})"


AT_REST = "at rest"
POINTS = (
    AT_REST,
    "before a transaction",
    "before commit",
    "after commit",
    "before launch",
    "handles recorded, before a job begins",
    "after launch",
    "a question is on its way",
    "an answer is on its way",
)
"""Where the daemon can be killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """The `nth` job of a processor for a date goes wrong in one way."""

    processor: str
    date: dt.date
    nth: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Rows that are there from the start, as a share of what is right: 0.5 half, 1 right, 2 twice."""

    processor: str
    date: dt.date
    share: float


MISHAPS = (
    "fails",
    "lies",
    "fails after writing",
    "writes half",
    "writes twice",
    "hangs",
    "falls silent",
    "takes long",
    "writes late",
    "never closes its run",
    "ignores SIGTERM",
    "cannot start",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One world."""

    seed: int
    phases: tuple[Table, ...]
    settings: Table
    games: Mapping[dt.date, int]
    bootstrap_days: int
    found: tuple[Found, ...]
    happenings: tuple[Happening, ...]
    mishaps: tuple[Mishap, ...]

    def pipeline(self) -> Pipeline:
        """The pipeline file's contents. Raises PipelineError when they cannot be."""
        closes = max(self.games, default=OPENER)
        season = {"name": "2021-22", "opens": OPENER, "closes": closes}
        calendar = {"file": "calendar.csv", "bootstrap_days": self.bootstrap_days, "season": [season]}
        return pipeline(*self.phases, calendar=calendar, **self.settings)


def generate(seed: int) -> Scenario:
    """The world of a seed."""
    rng = random.Random(seed)
    length = rng.choice((1, 2, 2, 3, 3, 4, 5))
    span = [OPENER + dt.timedelta(days=n) for n in range(length)]
    phases = tuple(_phases(rng))
    names = [p["name"] for one in phases for p in one["processor"]]
    pairs = [(name, date) for name in names for date in span]
    return Scenario(
        seed=seed,
        phases=phases,
        settings=_settings(rng),
        games={date: rng.choice((0, 1, 1, 2, 2)) for date in span},
        bootstrap_days=rng.choice((0, 0, 0, 1, 2)),
        found=tuple(_found(rng, pairs)),
        happenings=tuple(sorted(_happenings(rng, span, names), key=lambda one: one.at)),
        mishaps=tuple(_mishaps(rng, pairs)),
    )


def _settings(rng: random.Random) -> Table:
    jobs = {
        "slots": rng.choice((1, 2, 3, 8)),
        "backoff": rng.choice(("1s", "10s", "60s")),
        "max_attempts": rng.choice((1, 2, 3)),
        "breaker": rng.choice((0, 2, 3)),
        "timeout": rng.choice(("120s", "30m")),
        "silence": rng.choice(("60s", "10m")),
        "settle": rng.choice(("0s", "0s", "0s", "30s")),
    }
    engine = {"fresh_for": rng.choice(("60s", "30m")), "recheck": rng.choice(("60s", "5m"))}
    history = {"table": "nba_reference.processor_run_history", "stale_after": "20m"}
    return {"jobs": jobs, "engine": engine, "history": history}


def _phases(rng: random.Random) -> Iterator[Table]:
    first: list[str] = []
    for letter in "abc"[: rng.choice((1, 2, 2, 3, 3, 3))]:
        sequential = rng.random() < {"a": 0.1, "b": 0.3, "c": 0.8}[letter]
        names = [f"{letter}{n}" for n in range(1, rng.choice((2, 2, 3, 3, 4)))]
        processors = [_processor(rng, name, names[:n], first, sequential) for n, name in enumerate(names)]
        keys: Table = {"order": "sequential" if sequential else "parallel"}
        if letter != "a" and rng.random() < 0.4:
            keys["skip_bootstrap"] = True
        if sequential and rng.random() < 0.5:
            keys["lookback"] = rng.choice((0, 1, 2))
        yield phase(f"phase_{letter}", *processors, **keys)
        first = first or names


def _processor(
    rng: random.Random, name: str, siblings: list[str], first: list[str], sequential: bool
) -> Table:
    keys: Table = {"priority": rng.choice(("critical", "critical", "important", "fallback"))}
    if siblings and not sequential:
        tie = rng.random()
        if tie < 0.25:
            keys["fallbacks"] = [rng.choice(siblings)]
        elif tie < 0.55:
            keys["after"] = [rng.choice(siblings)]
    if rng.random() < 0.15:
        keys["writers"] = 2
    if rng.random() < 0.2:
        keys["batch"] = rng.choice((2, 3))
        keys["command"] = rng.choice((["true", "{dates}"], ["true", "{start}", "{end}"]))
    rules: Table = rng.choice(({}, {"rows": [4, 6]}, {"rows_per_game": [2, 3]}, {"rows_per_game": [2]}))
    if first and rng.random() < 0.1:
        rules = {"ratio": {"of": rng.choice(first), "min": 0.5}}
    return processor(name, expect=rules, **keys)


def _found(rng: random.Random, pairs: list[tuple[str, dt.date]]) -> Iterator[Found]:
    for name, date in pairs:
        if rng.random() < 0.15:
            yield Found(processor=name, date=date, share=rng.choice((0.5, 1, 1, 1, 2)))


def _mishaps(rng: random.Random, pairs: list[tuple[str, dt.date]]) -> Iterator[Mishap]:
    chance = rng.choice((0.0, 0.1, 0.3, 0.6))
    for name, date in pairs:
        if rng.random() < chance:
            for nth in range(rng.choice((1, 1, 2, 3, 6))):
                yield Mishap(processor=name, date=date, nth=nth, kind=rng.choice(MISHAPS))


def _happenings(rng: random.Random, span: list[dt.date], names: list[str]) -> Iterator[Happening]:
    yield _enqueue(rng, span, at=0.0, whole=rng.random() < 0.6)
    length = rng.choice((60.0, 300.0, 1500.0))
    for _ in range(rng.choice((0, 1, 3, 5, 8))):
        yield _request(rng, span, names, rng.uniform(0, length))
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        down = rng.choice((0.0, 5.0, 60.0, 900.0))
        yield _at(rng, rng.uniform(0, length), "kill", for_seconds=down, point=rng.choice(POINTS))
    for _ in range(rng.choice((0, 0, 1, 2))):
        yield _trouble(rng, span, names, rng.uniform(0, length))


def _at(rng: random.Random, at: float, verb: str, **args: Any) -> Happening:
    return Happening(at=round(at, 1), skip=rng.choice((0, 1, 2, 3, 5, 8, 13, 21)), verb=verb, args=args)


def _enqueue(rng: random.Random, span: list[dt.date], at: float, whole: bool) -> Happening:
    first, last = (0, len(span) - 1) if whole else sorted(rng.choices(range(len(span)), k=2))
    args: dict[str, Any] = {"start": span[first], "end": span[last]}
    if rng.random() < 0.1:
        args["start"] -= dt.timedelta(days=1)
    if rng.random() < 0.2:
        args["force"] = True
    if rng.random() < 0.25:
        args["scrapers"] = rng.choice(("critical", "none"))
    if rng.random() < 0.3:
        args["priority"] = rng.choice((1, 5))
    if rng.random() < 0.25:
        args["max_failures"] = 1
    return _at(rng, at, "enqueue", **args)


def _request(rng: random.Random, span: list[dt.date], names: list[str], at: float) -> Happening:
    date, name, number = rng.choice(span), rng.choice(names), rng.choice((1, 1, 2))
    verb = rng.choice(
        ("enqueue", "enqueue", "pause", "resume", "cancel", "retry", "retry_date", "accept", "lift", "stop")
    )
    if verb == "enqueue":
        return _enqueue(rng, span, at, whole=False)
    if verb == "retry_date":
        return _at(rng, at, verb, date=date, force=rng.random() < 0.3)
    if verb == "accept":
        return _at(rng, at, verb, date=date, processor=name)
    if verb == "lift":
        return _at(rng, at, verb, kind=rng.choice(("processor", "warehouse")), key=name)
    if verb == "stop":
        return _at(rng, at, rng.choice(("pause_everything", "resume_everything")))
    return _at(rng, at, verb, number=number)


def _trouble(rng: random.Random, span: list[dt.date], names: list[str], at: float) -> Happening:
    lasting = rng.choice((10.0, 120.0, 1200.0))
    kind = rng.choice(("outage", "quota", "broken", "somebody", "damage"))
    name, date = rng.choice(names), rng.choice(span)
    if kind in ("outage", "quota"):
        return _at(rng, at, kind, for_seconds=lasting)
    if kind == "broken":
        return _at(rng, at, kind, processor=name, for_seconds=lasting)
    if kind == "somebody":
        closes = rng.random() < 0.5
        return _at(rng, at, kind, processor=name, date=date, for_seconds=lasting, closes=closes)
    return _at(rng, at, kind, processor=name, date=date, share=rng.choice((0, 0.5, 2)))
