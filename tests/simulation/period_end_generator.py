"""Period ends of a simulated world: processors whose one output for a week or month is that of its last date.

The file alone must say which date that is, so that the calendar of such a world counts nothing: every date of
the season is expected. All of it comes from random numbers of its own.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from backfilld.state.pipeline.loading import PipelineError
from tests.factories import Table
from tests.simulation.scenario import ExternalEvent, PipelineFile, Scenario

SHARE = 0.1
"""In how many worlds some processors have one output for a period."""
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def with_period_ends(scenario: Scenario) -> Scenario:
    """The world with period ends of some processors; most worlds have none, and stay as they are."""
    rng = random.Random(f"period ends {scenario.seed}")
    if rng.random() >= SHARE:
        return scenario
    longer = _with_more_dates(rng, scenario)
    names = longer.files[0].names
    drawn = {name: _keys(rng) for name in rng.sample(names, min(len(names), rng.choice((1, 1, 2))))}
    days = ({"name": "some", "weekdays": sorted(rng.sample(WEEKDAYS, rng.choice((2, 4))))},)
    files = []
    for file in longer.files:
        plain = replace(file.with_processors(_without_counts), days=days)
        if rng.random() < 0.3:  # an edit takes it back, or gives each date of the period its own output
            drawn = {name: {**keys, "period_output": _output(rng)} for name, keys in drawn.items()}
        with_ends = plain.with_processors(lambda one, drawn=drawn: _with_period_end(one, drawn))
        files.append(with_ends if _is_valid(longer, with_ends) else plain)
    return replace(longer, files=tuple(files))


def _with_more_dates(rng: random.Random, scenario: Scenario) -> Scenario:
    """An uncounted calendar without holes, which may reach into the next week, with a request for that."""
    first, last = min(scenario.games), max(scenario.games)
    more = rng.choice((0, 0, 3, 5))
    span = [first + dt.timedelta(days=n) for n in range((last - first).days + 1 + more)]
    span = [*(min(f.opens for f in scenario.files) - dt.timedelta(days=n) for n in (2, 1)), *span]
    events = [one for one in scenario.external_events if one.verb != "calendar"]
    if more:
        args: Table = {"start": rng.choice((first, last)), "end": span[-1]}
        events.append(ExternalEvent(at=round(rng.uniform(0, 300), 1), skip=0, verb="enqueue", args=args))
    return replace(
        scenario,
        counted=False,
        games=dict.fromkeys(sorted(span), 1),
        external_events=tuple(sorted(events, key=lambda one: one.at)),
    )


def _keys(rng: random.Random) -> Table:
    days = {"days": "some"} if rng.random() < 0.3 else {}
    command = ["true", *rng.choice((("{dates}",), ("{start}", "{end}")))]
    period = rng.choice(("week", "week", "month"))
    return {"period": period, "period_output": "last", "command": command, **days}


def _output(rng: random.Random) -> str:
    return rng.choice(("last", "each"))


def _with_period_end(one: Table, drawn: Mapping[str, Table]) -> Table:
    if one["name"] not in drawn:
        return one
    return {**{key: value for key, value in one.items() if key != "batch"}, **drawn[one["name"]]}


def _without_counts(one: Table) -> Table:
    """A processor whose rules refer to no count of the calendar."""
    rules: dict[str, Any] = dict(one.get("expect", {}))
    if rules.pop("rows_per", None):
        rules["rows"] = [2, 3]
    return {**one, "expect": rules}


def _is_valid(scenario: Scenario, file: PipelineFile) -> bool:
    try:
        replace(scenario, files=(file,)).pipeline()
    except PipelineError:
        return False
    return True
