"""The world of a seed: what may happen is drawn here, each thing with a modest chance."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from typing import Any

from backfilld.state.records import Mark
from tests.factories import Table, phase, processor
from tests.simulation.need_generator import with_known_needs, with_needs
from tests.simulation.pool_generator import with_pool
from tests.simulation.scenario import (
    ANSWER_SENT,
    JOB_FAULTS,
    LONG_DAY,
    OPENER,
    PACIFIC,
    POINTS,
    QUERY_SENT,
    SHORT_DAY,
    START,
    ExternalEvent,
    InitialRows,
    JobFault,
    PipelineFile,
    Scenario,
)
from tests.simulation.sharing_events import sharing_events


def generate(seed: int) -> Scenario:
    """The world of a seed."""
    rng = random.Random(seed)
    length = rng.choice((1, 2, 2, 3, 3, 4, 5))
    span = [OPENER + dt.timedelta(days=n) for n in range(length)]
    phases = with_needs(random.Random(f"needs {seed}"), tuple(_phases(rng)))
    names = [p["name"] for one in phases for p in one["processor"]]
    pairs = [(name, date) for name in names for date in span]
    start = rng.choice((START, START, START, START, LONG_DAY, SHORT_DAY))
    edited = with_known_needs(_edited(rng, phases))
    settings = _settings(rng, random.Random(f"no data {seed}"))
    phases, pooled = with_pool(random.Random(f"pool {seed}"), phases, settings)
    edited, _ = with_pool(random.Random(f"pool {seed}"), edited, settings)
    games = {date: rng.choice((0, 1, 1, 2, 2)) for date in span}
    bootstrap_days = rng.choice((0, 0, 0, 1, 2))
    return Scenario(
        seed=seed,
        start=start,
        files=tuple(
            PipelineFile(phases=which, settings=pooled, bootstrap_days=bootstrap_days)
            for which in (phases, edited)
        ),
        games=games,
        query_seconds=rng.choice((0.7, 0.7, 0.7, 0.7, 20.0)),
        initial_rows=tuple(_initial_rows(rng, pairs)),
        external_events=tuple(
            sorted(
                (*_external_events(rng, span, names), *sharing_events(seed, span, names)),
                key=lambda one: one.at,
            )
        ),
        job_faults=tuple(_job_faults(rng, pairs)),
        aftermath=tuple(_aftermath(rng, span, names)),
    )


def _settings(rng: random.Random, of_data: random.Random) -> Table:
    """`of_data` draws what was added later, so that a seed keeps the rest of its world."""
    jobs = {
        "slots": rng.choice((1, 2, 3, 8)),
        "backoff": rng.choice(("1s", "10s", "60s")),
        "max_attempts": rng.choice((1, 2, 3)),
        "breaker_threshold": rng.choice((0, 2, 3)),
        "timeout": rng.choice(("120s", "30m")),
        "idle_timeout": rng.choice(("60s", "10m")),
        "confirm_after": rng.choice(("0s", "30s", "60s", "60s")),
        "no_data_attempts": of_data.choice((1, 2, 2, 3)),
        "no_data": of_data.choice(("try", "try", "try", "trust")),
    }
    engine = {"max_evidence_age": of_data.choice(("10s", "2m", rng.choice(("60s", "30m"))))}
    engine["recheck_interval"] = rng.choice(("60s", "5m"))
    engine["revalidate_within"] = rng.choice(("60s", "10m"))
    history = {"table": "nba_reference.processor_run_history", "stale_after": "20m"}
    source = {"kind": "lake", "path": "lake"}
    if rng.random() < 0.1:
        source["daily_bytes"] = rng.choice((60, 200))
    zone = rng.choice((PACIFIC, PACIFIC, "UTC"))
    return {"jobs": jobs, "engine": engine, "history": history, "warehouse": source, "quota_timezone": zone}


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
    if rng.random() < 0.05:
        keys["daily_attempts"] = rng.choice((1, 2, 4))
    if rng.random() < 0.2:
        keys["batch"] = rng.choice((2, 3))
        keys["command"] = rng.choice((["true", "{dates}"], ["true", "{start}", "{end}"]))
    rules: Table = rng.choice(
        ({}, {"rows": [4, 6]}, {"rows_per": {"games": [2, 3]}}, {"rows_per": {"games": [2]}})
    )
    if first and rng.random() < 0.1:
        rules = {"ratio": {"of": rng.choice(first), "min": 0.5}}
    return processor(name, expect=rules, **keys)


def _edited(rng: random.Random, phases: tuple[Table, ...]) -> Iterator[Table]:
    """The same file with a processor gained, lost or moved in one of its phases."""
    chosen = rng.choice(phases)["name"]
    ratios = [
        p["expect"]["ratio"]["of"] for one in phases for p in one["processor"] if "ratio" in p["expect"]
    ]
    for one in phases:
        processors = [{**p} for p in one["processor"]]
        if one["name"] == chosen:
            edit, lost = rng.choice(("gain", "gain", "lose", "move")), rng.choice(processors)["name"]
            if edit == "lose" and len(processors) > 1 and lost not in ratios:
                processors = [p for p in processors if p["name"] != lost]
                for p in processors:
                    p |= {key: [n for n in p[key] if n != lost] for key in ("after", "fallbacks") if key in p}
            elif edit == "gain":
                new = processor(f"{chosen[-1]}9", priority=rng.choice(("critical", "fallback")))
                processors.insert(rng.randrange(len(processors) + 1), new)
            else:
                rng.shuffle(processors)
        yield {**one, "processor": processors}


def _initial_rows(rng: random.Random, pairs: list[tuple[str, dt.date]]) -> Iterator[InitialRows]:
    for name, date in pairs:
        if rng.random() < 0.15:
            yield InitialRows(processor=name, date=date, share=rng.choice((0.5, 1, 1, 1, 2)))


def _job_faults(rng: random.Random, pairs: list[tuple[str, dt.date]]) -> Iterator[JobFault]:
    chance = rng.choice((0.0, 0.1, 0.3, 0.6))
    for name, date in pairs:
        if rng.random() < chance:
            for nth in range(rng.choice((1, 1, 2, 3, 6))):
                yield JobFault(processor=name, date=date, nth=nth, kind=rng.choice(JOB_FAULTS))


def _external_events(rng: random.Random, span: list[dt.date], names: list[str]) -> Iterator[ExternalEvent]:
    yield _enqueue(rng, span, at=0.0, whole=rng.random() < 0.6)
    length = rng.choice((60.0, 300.0, 1500.0))
    for _ in range(rng.choice((0, 1, 3, 5, 8))):
        yield _request(rng, span, names, rng.uniform(0, length))
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        down = rng.choice((0.0, 5.0, 60.0, 900.0))
        yield _at(rng, rng.uniform(0, length), "kill", point=rng.choice(POINTS), for_seconds=down)
    if rng.random() < 0.1:
        yield _at(rng, rng.uniform(0, length), "kill", point=rng.choice(POINTS), for_seconds=1.0, edits=True)
    for _ in range(rng.choice((0, 0, 1, 2))):
        yield _fault(rng, span, names, rng.uniform(0, length))
    if rng.random() < 0.1:
        leap = rng.choice((-3600, 3600)) + rng.uniform(0.01, 60)
        yield _at(rng, rng.uniform(0, length), "set_clock", seconds=round(leap, 2))
    if rng.random() < 0.15:
        yield from _competitor(rng, span, names, rng.uniform(0, length))


def _at(
    rng: random.Random, at: float, verb: str, *, skip: int | None = None, point: str = "", **args: Any
) -> ExternalEvent:
    skip = rng.choice((0, 1, 2, 3, 5, 8, 13, 21)) if skip is None else skip
    return ExternalEvent(at=round(at, 1), skip=skip, verb=verb, args=args, point=point)


def _enqueue(rng: random.Random, span: list[dt.date], at: float, whole: bool) -> ExternalEvent:
    first, last = (0, len(span) - 1) if whole else sorted(rng.choices(range(len(span)), k=2))
    args: dict[str, Any] = {"start": span[first], "end": span[last]}
    if rng.random() < 0.1:
        args["start"] -= dt.timedelta(days=1)
    if rng.random() < 0.2:
        args["force"] = True
    if rng.random() < 0.25:
        args["sources"] = rng.choice(("critical", "none"))
    if rng.random() < 0.3:
        args["priority"] = rng.choice((1, 5))
    if rng.random() < 0.25:
        args["max_failures"] = 1
    return _at(rng, at, "enqueue", **args)


def _request(rng: random.Random, span: list[dt.date], names: list[str], at: float) -> ExternalEvent:
    date, name, number = rng.choice(span), rng.choice(names), rng.choice((1, 1, 2))
    verb = rng.choice(
        (
            "enqueue",
            "enqueue",
            "pause",
            "resume",
            "cancel",
            "retry",
            "retry_date",
            "accept",
            "release",
            "stop",
        )
    )
    if verb == "enqueue":
        return _enqueue(rng, span, at, whole=False)
    if verb == "retry_date":
        return _at(rng, at, verb, date=date, force=rng.random() < 0.3, cascades=rng.random() < 0.3)
    if verb == "accept":
        return _at(rng, at, verb, date=date, processor=name)
    if verb == "release":
        kind, key = rng.choice((("processor", name), ("table", f"nba.{name}"), ("warehouse", "")))
        return _at(rng, at, verb, kind=kind, key=key, extra=rng.choice((None, 2)))
    if verb == "stop":
        return _at(rng, at, rng.choice(("pause_everything", "resume_everything")))
    return _at(rng, at, verb, backfill_id=number)


def _fault(rng: random.Random, span: list[dt.date], names: list[str], at: float) -> ExternalEvent:
    lasting = rng.choice((10.0, 120.0, 1200.0))
    kind = rng.choice(("outage", "quota", "broken", "broken", "external_run", "damage"))
    name, date = rng.choice(names), rng.choice(span)
    if kind in ("outage", "quota"):
        return _at(rng, at, kind, for_seconds=lasting)
    if kind == "broken":
        return _at(rng, at, kind, processor=name, for_seconds=lasting)
    if kind == "external_run":
        ends = rng.choice(("never", "failed"))
        return _at(rng, at, kind, processor=name, date=date, for_seconds=lasting, ends=ends)
    return _at(rng, at, kind, processor=name, date=date, share=rng.choice((0, 0.5, 2)))


def _aftermath(rng: random.Random, span: list[dt.date], names: list[str]) -> Iterator[ExternalEvent]:
    """What was done is damaged, looked at again, and computed again where somebody asks for it."""
    if rng.random() < 0.6:
        return
    at = 0.0
    for _ in range(rng.choice((1, 1, 2))):
        name, date = rng.choice(names), rng.choice(span)
        yield _at(rng, at, "damage", processor=name, date=date, share=rng.choice((0, 0, 0.5, 2)))
        at += rng.choice((1.0, 60.0, 600.0))
        if rng.random() < 0.5:
            yield _at(rng, at, "sweep", skip=0)
        asks = rng.choice(("date", "date", "marked", "range", "none"))
        if asks == "date":
            yield _at(rng, at, "retry_date", skip=0, date=date, cascades=rng.random() < 0.6)
        elif asks == "marked":
            mark = rng.choice(tuple(Mark))
            yield _at(rng, at, "retry_marked", skip=0, mark=mark, start=span[0], end=span[-1])
        elif asks == "range":
            yield _at(rng, at, "enqueue", skip=0, start=span[0], end=span[-1])
        if rng.random() < 0.3:
            point = rng.choice((QUERY_SENT, ANSWER_SENT))
            yield _at(rng, at, "retry_date", skip=0, point=point, date=rng.choice(span), cascades=False)
        if rng.random() < 0.2:
            yield _at(rng, at, "kill", point=rng.choice(POINTS), for_seconds=rng.choice((0.0, 60.0)))
        at += rng.choice((0.0, 10.0, 60.0))


def _competitor(
    rng: random.Random, span: list[dt.date], names: list[str], at: float
) -> Iterator[ExternalEvent]:
    """Another controller takes a date through some processors, one after another."""
    date, first = rng.choice(span), rng.randrange(len(names))
    for name in names[first : first + 3]:
        lasting, ends = rng.choice((10.0, 60.0)), rng.choice(("wrote", "wrote", "wrote half", "failed"))
        yield _at(rng, at, "external_run", processor=name, date=date, for_seconds=lasting, ends=ends)
        at += lasting
