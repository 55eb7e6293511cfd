"""A failing world made small: whatever it still fails without is left out."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from backfilld.state.pipeline.loading import PipelineError
from tests.factories import Table
from tests.simulation.scenario import Scenario

_LISTS = ("aftermath", "job_faults", "external_events", "initial_rows")
Fails = Callable[[Scenario], bool]


def shrink(scenario: Scenario, fails: Fails, *, seconds: float = 60.0) -> Scenario:
    """The smallest world found within `seconds` that still fails: `fails` says so of any."""
    until = time.monotonic() + seconds
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(scenario):
            if time.monotonic() > until:
                return scenario
            if fails(candidate):
                scenario, smaller = candidate, True
                break
    return scenario


def _smaller(scenario: Scenario) -> Iterator[Scenario]:
    """The same world without one part of it, the largest parts first."""
    yield from (replace(scenario, **{part: ()}) for part in _LISTS if getattr(scenario, part))
    if len(scenario.games) > 1:
        yield from (_without_date(scenario, date) for date in scenario.games)
    names = scenario.files[0].names
    yield from (smaller for name in names if (smaller := _without_processor(scenario, name)))
    for part in _LISTS:
        entries = getattr(scenario, part)
        yield from (replace(scenario, **{part: _without(entries, n)}) for n in range(len(entries)))
    if scenario.query_seconds > 1:
        yield replace(scenario, query_seconds=0.7)
    for part in ("external_events", "aftermath"):
        entries = getattr(scenario, part)
        for n, one in enumerate(entries):
            if one.skip:
                sooner = (*entries[:n], replace(one, skip=0), *entries[n + 1 :])
                yield replace(scenario, **{part: sooner})


def _without(entries: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    return entries[:n] + entries[n + 1 :]


def _without_date(scenario: Scenario, date: dt.date) -> Scenario:
    """Without the games of a date, and without what happens to it alone."""
    return replace(
        scenario,
        games={day: games for day, games in scenario.games.items() if day != date},
        initial_rows=tuple(one for one in scenario.initial_rows if one.date != date),
        job_faults=tuple(one for one in scenario.job_faults if one.date != date),
        external_events=tuple(one for one in scenario.external_events if one.args.get("date") != date),
        aftermath=tuple(one for one in scenario.aftermath if one.args.get("date") != date),
    )


def _phases_without(phases: tuple[Table, ...], name: str) -> tuple[Table, ...]:
    kept = [{**p, "processor": [one for one in p["processor"] if one["name"] != name]} for p in phases]
    return tuple(phase for phase in kept if phase["processor"])


def _without_processor(scenario: Scenario, name: str) -> Scenario | None:
    """Without a processor, and without what happens to it alone; None when others need it."""
    smaller = replace(
        scenario,
        files=tuple(replace(f, phases=_phases_without(f.phases, name)) for f in scenario.files),
        initial_rows=tuple(one for one in scenario.initial_rows if one.processor != name),
        job_faults=tuple(one for one in scenario.job_faults if one.processor != name),
        external_events=tuple(one for one in scenario.external_events if one.args.get("processor") != name),
        aftermath=tuple(one for one in scenario.aftermath if one.args.get("processor") != name),
    )
    try:
        for version in range(len(smaller.files)):
            smaller.pipeline(version)
    except PipelineError:
        return None
    return smaller
