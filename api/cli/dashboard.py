"""The whole on one screen, at any width and height: bars, pace, what runs, what waits, what is held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from backfilld.api.cli.arguments import covered
from backfilld.api.cli.client import Json
from backfilld.api.cli.logfmt import lifting
from backfilld.api.cli.output import counts, sanitize_line, sign
from backfilld.api.cli.snapshot import Failure, Snapshot
from backfilld.api.formatting import format_duration
from backfilld.state.rules.verdict import Verdict

MOST_JOBS = 8
"""Jobs under way that are shown."""
_BAR = (8, 40)
"""Columns of a bar, at least and at most."""
_LABEL = 9
"""Columns for the words on the left of the lower half."""


def picture(view: Snapshot, console: Console) -> Group:
    """How everything stands. Where not all processors fit, the unfinished ones are shown, as many as do."""
    below = list(_below(view))
    phases, seasons = view.progress["phases"], view.progress["seasons"]
    room = console.height - len(below) - len(phases) - len(seasons) - 3
    return Group(
        Text(_title(view), style="bold", no_wrap=True, overflow="ellipsis"),
        _bars(phases, seasons, _shown(phases, room), console.width),
        _labelled(below),
    )


def failure_lines(failure: Failure, at: dt.datetime | None = None) -> Group:
    """Something that failed, with why and where to look."""
    when = f"{at.astimezone():%H:%M:%S} " if at is not None else ""
    head = f"✗ {when}{failure.what} {failure.how}"
    reason = f": {sanitize_line(failure.reason)}" if failure.reason else ""
    return Group(
        Text.assemble((head, "red"), reason, no_wrap=False, overflow="fold"),
        Text(f"  → {failure.command}", style="dim"),
    )


def _title(view: Snapshot) -> str:
    dates, backfill = view.progress["dates"], view.backfill
    if backfill is not None:
        note = f" ({backfill['note']})" if backfill["note"] else ""
        named = f"backfill {backfill['id']} is {backfill['status']}"
        return sanitize_line(
            f"{named}: {counts(backfill['states'])} of {backfill['start']}..{backfill['end']}{note}"
        )
    paused = ", paused" if view.progress["paused"] else ""
    done = f"{dates['done']} of {dates['total']} dates done"
    return f"{done}, {dates['failed']} failed, {dates['live']} live{paused}"


def _shown(phases: list[Json], room: int) -> set[str]:
    """The processors for which there is room."""
    everyone = [one for phase in phases for one in phase["processors"]]
    unfinished = [one for one in everyone if one["satisfied"] < one["total"]]
    chosen = everyone if len(everyone) <= room else unfinished[: max(room, 0)]
    return {one["processor"] for one in chosen}


def _bars(phases: list[Json], seasons: list[Json], shown: set[str], width: int) -> Table:
    """A bar for each phase, processor and season; what is wrong stands behind it by its sign."""
    names = [f"  {one['processor']}" for phase in phases for one in phase["processors"]]
    longest = min(max(map(len, names), default=0), max(width // 2 - 6, 12))
    bar = min(max(width - longest - 34, _BAR[0]), _BAR[1])
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=longest, no_wrap=True, overflow="ellipsis")
    grid.add_column(width=bar)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")

    def row(name: Text, done: int, total: int, note: Text) -> None:
        share = Text(f"{100 * done // total if total else 100} %", style="dim")
        line = ProgressBar(
            total=max(total, 1),
            completed=done if total else 1,
            width=bar,
            complete_style="cyan",
            finished_style="green",
        )
        grid.add_row(name, line, f"{done}/{total}", share, note)

    for phase in phases:
        row(Text(phase["phase"], style="bold"), phase["satisfied"], phase["total"], Text())
        for one in phase["processors"]:
            if one["processor"] in shown:
                row(Text(f"  {one['processor']}"), one["satisfied"], one["total"], _signs(one["verdicts"]))
    for one in seasons:
        failed = Text(f"✗ {one['failed']} failed", style="red") if one["failed"] else Text()
        row(Text(f"season {one['season']}", style="bold"), one["done"], one["total"], failed)
    return grid


def _signs(verdicts: Json) -> Text:
    """How many dates have a verdict that is not satisfied, or is an accepted gap: `✗ 2  ⚠ 1`."""
    found: dict[str, int] = {}
    for name, n in verdicts.items():
        if not (verdict := Verdict(name)).satisfied:
            found[verdict.symbol] = found.get(verdict.symbol, 0) + n
    parts = [part for symbol, n in found.items() for part in (sign(symbol), f" {n}  ")]
    return Text.assemble(*parts)


def _labelled(rows: list[tuple[str, RenderableType]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=_LABEL, style="dim", no_wrap=True)
    grid.add_column()
    before = ""
    for label, told in rows:
        grid.add_row("" if label == before else label, told)
        before = label
    return grid


def _below(view: Snapshot) -> Iterator[tuple[str, RenderableType]]:
    """What stands below the bars, line by line, each with its label."""
    progress = view.progress
    yield "pace", Text(_pace(progress))
    yield "ends", Text(_eta(progress, view.at), overflow="fold")
    jobs = view.activity["running"]
    for job in jobs[:MOST_JOBS]:
        yield "runs", _job(job)
    if len(jobs) > MOST_JOBS:
        yield "runs", Text(f"and {len(jobs) - MOST_JOBS} more", style="dim")
    for wait in view.activity["waiting"]:
        words = f"{wait['first']}: {sanitize_line(wait['waiting_on'])}"
        many = Text(f"{wait['dates']:>5} ", style="yellow")
        yield "waits", Text.assemble(many, words, no_wrap=True, overflow="ellipsis")
    for hold in progress["holds"]:
        yield (
            "held",
            Text.assemble((sanitize_line(hold["reason"]) or f"by {hold['actor']}", "red"), overflow="fold"),
        )
        yield "held", Text(f"→ {lifting(hold)}", style="dim")
    for mark in ("regressed", "stale"):
        if progress[mark]:
            yield mark, Text(f"{progress[mark]} dates → backfilld retry --{mark}", style="yellow")


def _job(job: Json) -> Text:
    """A job under way: dates, processor, age, number, last words."""
    return Text.assemble(
        ("▷ ", "cyan"),
        f"{covered(job)} {job['processor']} ",
        (f"{format_duration(job['age_seconds'])} #{job['id']} ", "dim"),
        (sanitize_line(job["last_line"]), "italic dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _pace(progress: Json) -> str:
    rate = progress["rate_per_hour"]
    return f"{rate:.{1 if rate < 10 else 0}f} dates an hour" if rate is not None else "not known yet"


def _eta(progress: Json, at: dt.datetime) -> str:
    method = sanitize_line(progress["eta_method"])
    if progress["eta"] is None:
        return method
    ends = dt.datetime.fromisoformat(progress["eta"])
    left = max((ends - at).total_seconds(), 0.0)
    clock = f"{ends.astimezone():%H:%M}" if left < 43_200 else f"{ends.astimezone():%a %d %b %H:%M}"
    return f"in {format_duration(left)}, at {clock} ({method})"
