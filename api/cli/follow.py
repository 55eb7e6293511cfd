"""Progress until the end: bars per phase on a terminal, a plain line per change elsewhere."""

from __future__ import annotations

import time
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from api.cli.client import Client, Json
from api.cli.output import console, counts, until
from api.words import span

POLL_SECONDS = 0.5
LINE_SECONDS = 5.0
"""Between two plain lines that say the same."""
ENDED = ("finished", "cancelled", "stopped")


def follow(client: Client, backfill: int, *, quiet: bool = False) -> Json:
    """Show a backfill's progress until it has ended, and return it as it stands then."""
    if quiet or not console.is_terminal:
        return _follow_plainly(client, backfill, quiet=quiet)
    with Live(console=console, refresh_per_second=4) as live:
        while True:
            row = client.get(f"/v1/backfills/{backfill}")
            live.update(picture(client.get("/v1/progress"), row))
            if row["status"] in ENDED:
                return row
            time.sleep(POLL_SECONDS)


def _follow_plainly(client: Client, backfill: int, *, quiet: bool) -> Json:
    last, told_at = "", 0.0
    while True:
        row = client.get(f"/v1/backfills/{backfill}")
        line = _line(client.get("/v1/progress"), row)
        if not quiet and (
            (line != last and time.monotonic() - told_at > LINE_SECONDS) or row["status"] in ENDED
        ):
            click.echo(line)
            last, told_at = line, time.monotonic()
        if row["status"] in ENDED:
            return row
        time.sleep(POLL_SECONDS)


def _line(progress: Json, row: Json) -> str:
    phases = " ".join(f"{p['phase']}={p['satisfied']}/{p['total']}" for p in progress["phases"])
    states = " ".join(f"{state}={n}" for state, n in row["states"].items() if n)
    return f"backfill {row['id']} {row['status']}: {states} | {phases} | running={len(progress['running'])}"


def picture(progress: Json, row: Json | None = None) -> Group:
    """The whole on one screen: phases, pace, what runs and what waits."""
    parts: list[Any] = []
    if row is not None:
        parts.append(Text(f"backfill {row['id']} is {row['status']}: {counts(row['states'])}", style="bold"))
    else:
        parts.append(Text(_summary(progress), style="bold"))
    parts.append(_bars(progress))
    parts.append(Text(f"pace {_pace(progress)}   ETA {_eta(progress)}", style="dim"))
    parts += [Text(f"  ▷ {_running(one)}") for one in progress["running"][:8]]
    waits = counts(progress["waiting"])
    parts.append(Text(f"waiting: {waits}", style="dim"))
    parts += [Text(f"held: {hold['reason']}", style="red") for hold in progress["holds"]]
    parts += [
        Text(f"{progress[mark]} dates are {mark}: backfilld retry --{mark}", style="yellow")
        for mark in ("regressed", "stale")
        if progress[mark]
    ]
    return Group(*parts)


def _bars(progress: Json) -> Table:
    grid = Table.grid(padding=(0, 1))
    for phase in progress["phases"]:
        bar = ProgressBar(total=max(phase["total"], 1), completed=phase["satisfied"], width=40)
        grid.add_row(
            phase["phase"], bar, f"{phase['satisfied']}/{phase['total']}", f"{100 * phase['ratio']:.0f} %"
        )
    return grid


def _summary(progress: Json) -> str:
    dates = progress["dates"]
    paused = ", paused" if progress["paused"] else ""
    done = f"{dates['done']} of {dates['total']} dates done"
    return f"{done}, {dates['failed']} failed, {dates['live']} live{paused}"


def _pace(progress: Json) -> str:
    rate = progress["rate_per_hour"]
    return f"{rate:.0f} dates an hour" if rate is not None else "not known yet"


def _eta(progress: Json) -> str:
    if progress["eta"] is None:
        return f"unknown ({progress['eta_method']})"
    return f"{until(progress['eta'])} ({progress['eta_method']})"


def _running(one: Json) -> str:
    dates = one["dates"]
    covered = dates[0] if len(dates) == 1 else f"{dates[0]}..{dates[-1]}"
    return f"{covered} {one['processor']} for {span(one['age_seconds'])} (attempt {one['id']})"
