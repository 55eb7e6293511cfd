"""A world told in lines: what was asked, what broke, what ran, how dates moved."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from tests.simulation.scenario import PipelineFile, Scenario
from tests.simulation.simulation import Simulation


def describe_scenario(scenario: Scenario) -> Iterator[str]:
    """What the world is like before anything happens."""
    known: list[str] = []
    for number, file in enumerate(scenario.files if scenario.is_edited else scenario.files[:1]):
        yield f"the pipeline file after {number} edits: opens {file.opens}"
        lines = list(_describe_file(file))
        yield from (line for line in lines if line not in known)
        known = lines
    yield f"a query takes {scenario.query_seconds} s"
    yield f"begins {dt.datetime.fromtimestamp(scenario.start, dt.UTC)}"
    counts = "games " if scenario.counted else "not counted: games "
    yield counts + ", ".join(f"{date} {games}" for date, games in scenario.games.items())
    yield from (f"found {f.processor} {f.date}: {f.share} of what is right" for f in scenario.initial_rows)
    yield from (f"job {m.nth + 1} of {m.processor} {m.date} {m.kind}" for m in scenario.job_faults)


def _describe_file(file: PipelineFile) -> Iterator[str]:
    for phase in file.phases:
        keys = {key: value for key, value in phase.items() if key not in ("name", "processor")}
        yield f"{phase['name']} {keys}"
        for one in phase["processor"]:
            yield f"  {one['name']} { ({k: v for k, v in one.items() if k != 'name'}) }"
    keys = [file.settings[name] for name in ("jobs", "engine", "warehouse", "quota_timezone")]
    yield f"{' '.join(map(str, keys))}, bootstrap {file.bootstrap_days}"
    yield from (f"days {days}" for days in file.days)


def report(sim: Simulation) -> Iterator[str]:
    """What happened, in order, by seconds since the start."""
    rows = sim.invariants.rows
    lines = [(at, 0, text) for at, text in sim.log]
    for move in rows("SELECT rowid, * FROM transitions"):
        text = f"{move['date']} {move['source']} -> {move['target']} ({move['trigger']}: {move['reason']})"
        lines.append((move["at"], 2, text))
    for one in rows("SELECT * FROM attempts"):
        name = f"attempt {one['id']} of {one['processor']} {one['date']}"
        lines.append((one["claimed_at"], 3, f"{name} starts"))
        if one["ended_at"] is not None:
            lines.append((one["ended_at"], 1, f"{name} {one['status']} {one['exit_code']} {one['detail']}"))
    for at, _, text in sorted(lines):
        yield f"{at - sim.scenario.start:8.1f}  {text}"
    for table in ("dates", "checks", "holds"):
        for row in rows(f"SELECT * FROM {table}"):
            yield f"{table}: { ({key: value for key, value in row.items() if value not in ('', None, 0)}) }"
