"""The dashboard: bars, pace, running jobs, waiting dates and holds, as a picture or as plain lines."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from backfilld.api.cli.client import Json
from backfilld.api.cli.output import counts, sanitize_line, sign
from backfilld.api.cli.progress_snapshot import Failure, Snapshot
from backfilld.api.formatting import attempt_dates
from backfilld.state.formatting import format_duration, pluralize
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.verdict import Verdict

MAX_JOBS = 8
"""The most running jobs that are shown."""
_BAR = (8, 40)
"""Columns of a bar, at least and at most."""
_LABEL = 9
"""Columns of the labels in the lower half."""


class _Row(NamedTuple):
    """The progress of a phase, a processor or a season."""

    name: Text
    done: int
    total: int
    note: Text

    @property
    def percent(self) -> str:
        return f"{100 * self.done // self.total} %" if self.total else ""


def picture(view: Snapshot, console: Console, *, whole: bool = False) -> Group:
    """A picture that fits the console. If not all processors fit, the unfinished ones come first.

    One that is redrawn cuts long lines; one that stays, `whole`, wraps them.
    """
    details = list(_details(view))
    if whole:
        details = [(label, _foldable(text)) for label, text in details]
    phases, seasons = view.progress["phases"], view.progress["seasons"]
    room = console.height - len(details) - len(phases) - len(seasons) - 3
    return Group(
        Text(title(view), style="bold", no_wrap=not whole, overflow="fold" if whole else "ellipsis"),
        _bars(list(_rows(view.progress, _fitting(phases, room))), console.width),
        _labelled(details),
    )


def _foldable(text: Text) -> Text:
    folded = text.copy()
    folded.no_wrap, folded.overflow = False, "fold"
    return folded


def plain_lines(view: Snapshot) -> Iterator[str]:
    """The sections of the picture as plain lines, with every processor and every daily budget."""
    yield title(view)
    every = {one["processor"] for phase in view.progress["phases"] for one in phase["processors"]}
    rows = list(_rows(view.progress, every))
    widest = max((len(row.name) for row in rows), default=0)
    for row in rows:
        share = f"{row.done}/{row.total}"
        yield f"{row.name.plain:{widest}}  {share:>9}  {row.percent:>5}  {row.note.plain}".rstrip()
    for label, text in _details(view):
        yield f"{label:{_LABEL}} {text.plain}"
    for budget in view.progress["budgets"]:
        yield f"{'budget':{_LABEL}} {_budget(budget)}"


def failure_lines(failure: Failure, at: dt.datetime | None = None) -> Group:
    """A failure with its reason, and the command that shows more."""
    when = f"{at.astimezone():%H:%M:%S} " if at is not None else ""
    head = f"{failure.symbol} {when}{failure.subject} {failure.result}"
    reason = f": {sanitize_line(failure.reason)}" if failure.reason else ""
    return Group(
        Text.assemble((head, sign(failure.symbol)[1]), reason, no_wrap=False, overflow="fold"),
        Text(f"  → {failure.command}", style="dim"),
    )


def release_command(hold: Json) -> str:
    """The command that ends a hold."""
    if hold["kind"] == "all":
        return "backfilld resume"
    return f"backfilld release {hold['kind']} {hold['key']}".rstrip()


def hold_text(hold: Json) -> str:
    """What is held, by whom and why."""
    return sanitize_line(hold["text"])


def title(view: Snapshot) -> str:
    """One line about the backfill, or about all dates."""
    dates, backfill = view.progress["dates"], view.backfill
    if backfill is not None:
        note = f" ({backfill['note']})" if backfill["note"] else ""
        name = f"backfill {backfill['id']} is {backfill['status']}"
        span = f"{backfill['start']}..{backfill['end']}"
        states = f"{date_counts(backfill)} of" if backfill["states"] else "nothing to do for"
        return sanitize_line(f"{name}: {states} {span}{note}{_why_it_rests(backfill)}")
    paused = ", paused" if view.progress["paused"] else ""
    season = f"season {view.season}: " if view.season else ""
    done = f"{dates['done']} of {pluralize(dates['total'], 'date')} done{_waived(view.progress)}"
    return f"{season}{done}, {dates['failed']} failed, {dates['live']} live{paused}"


def date_counts(backfill: Json) -> str:
    """The dates of a backfill by state, and those done with a waiver: `13 done (2 waived), 1 failed`.

    Where nothing was to do, by request outcome: `14 already_done`.
    """
    if not backfill["states"]:
        return counts(backfill["request_outcomes"])
    return counts(
        {f"{state}{_waived(backfill) * (state == 'done')}": n for state, n in backfill["states"].items()}
    )


def _waived(document: Json) -> str:
    """How many dates are done with a waiver, in parentheses; empty for none."""
    waived = document["outcomes"].get(Outcome.WAIVED, 0)
    return f" ({waived} waived)" if waived else ""


def _why_it_rests(backfill: Json) -> str:
    """Why a backfill does not move, and the command that helps; empty where it moves or has ended."""
    if backfill["stuck_on"]:
        return f"; stuck on: {backfill['stuck_on']}"
    if backfill["status"] in ("paused", "pausing", "stopped"):
        reason = f"; {backfill['stop_reason']}" if backfill["stop_reason"] else ""
        return f"{reason}; backfilld resume {backfill['id']}"
    return ""


def eta(progress: Json, at: dt.datetime) -> str:
    """When the last date is expected to end, and how that is estimated."""
    method = sanitize_line(progress["eta_method"])
    if progress["eta"] is None:
        return method
    ends = dt.datetime.fromisoformat(progress["eta"])
    left = max((ends - at).total_seconds(), 0.0)
    clock = f"{ends.astimezone():%H:%M %Z}" if left < 43_200 else f"{ends.astimezone():%a %d %b %H:%M %Z}"
    return f"in {format_duration(left)}, at {clock} ({method})"


def _fitting(phases: list[Json], room: int) -> set[str]:
    """The processors for which there is room."""
    every = [one for phase in phases for one in phase["processors"]]
    unfinished = [one for one in every if one["satisfied"] < one["total"]]
    chosen = every if len(every) <= room else unfinished[: max(room, 0)]
    return {one["processor"] for one in chosen}


def _rows(progress: Json, shown: set[str]) -> Iterator[_Row]:
    """A row for each phase, each of its processors that is shown, and each season."""
    for phase in progress["phases"]:
        yield _Row(Text(phase["phase"], style="bold"), phase["satisfied"], phase["total"], Text())
        for one in phase["processors"]:
            if one["processor"] in shown:
                name = Text(f"  {one['processor']}")
                note = _signs(one["verdicts"])
                note.append(f"{one['waived']} waived" if one["waived"] else "", style="yellow")
                yield _Row(name, one["satisfied"], one["total"], note)
    for season in progress["seasons"]:
        failed = Text(f"✗ {season['failed']} failed", style="red") if season["failed"] else Text()
        name = Text(f"season {season['season']}", style="bold")
        yield _Row(name, season["done"], season["total"], failed)


def _bars(rows: list[_Row], width: int) -> Table:
    """A bar for each row; behind it the signs of its problems."""
    longest = min(max((len(row.name) for row in rows), default=0), max(width // 2 - 6, 12))
    bar = min(max(width - longest - 34, _BAR[0]), _BAR[1])
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=longest, no_wrap=True, overflow="ellipsis")
    grid.add_column(width=bar)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for row in rows:
        line = ProgressBar(
            total=max(row.total, 1),
            completed=row.done if row.total else 1,
            width=bar,
            complete_style="cyan",
            finished_style="green",
        )
        grid.add_row(row.name, line, f"{row.done}/{row.total}", Text(row.percent, style="dim"), row.note)
    return grid


def _signs(verdicts: Json) -> Text:
    """How many dates have each unsatisfied verdict, by its sign: `✗ 2  ⚠ 1`."""
    dates: dict[str, int] = {}
    for name, n in verdicts.items():
        if not (verdict := Verdict(name)).satisfied:
            dates[verdict.symbol] = dates.get(verdict.symbol, 0) + n
    parts = [part for symbol, n in dates.items() for part in (sign(symbol), f" {n}  ")]
    return Text.assemble(*parts)


def _labelled(rows: list[tuple[str, Text]]) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=_LABEL, style="dim", no_wrap=True)
    grid.add_column()
    before = ""
    for label, text in rows:
        grid.add_row("" if label == before else label, text)
        before = label
    return grid


def _details(view: Snapshot) -> Iterator[tuple[str, Text]]:
    """The lines below the bars, each with its label."""
    progress = view.progress
    yield "pace", Text(_pace(progress))
    yield "ETA", Text(eta(progress, view.at), overflow="fold")
    jobs = view.activity["running"]
    for job in jobs[:MAX_JOBS]:
        yield "running", _job(job)
    if len(jobs) > MAX_JOBS:
        yield "running", Text(f"and {len(jobs) - MAX_JOBS} more", style="dim")
    for wait in view.activity["waiting"]:
        # Others of them may wait for something else of the same kind.
        first = f"first {wait['first']}" if wait["dates"] > 1 else wait["first"]
        words = f"{first}: {sanitize_line(wait['waiting_on'])}"
        many = Text(f"{wait['dates']:>5} ", style="yellow")
        yield "waiting", Text.assemble(many, words, no_wrap=True, overflow="ellipsis")
    for problem in progress["problems"]:
        yield "problem", Text(sanitize_line(problem), style="red", overflow="fold")
    for hold in progress["holds"]:
        yield "held", Text(hold_text(hold), style="red", overflow="fold")
        yield "held", Text(f"→ {release_command(hold)}", style="dim")
    for mark in ("regressed", "stale"):
        if progress[mark]:
            marked = pluralize(progress[mark], "date")
            yield mark, Text(f"{marked} → backfilld retry --{mark}", style="yellow")


def _job(job: Json) -> Text:
    """A running job: dates, processor, age, attempt, last line of output."""
    return Text.assemble(
        ("▷ ", "cyan"),
        f"{attempt_dates(job)} {job['processor']} ",
        (f"{format_duration(job['age_seconds'])} #{job['id']} ", "dim"),
        (sanitize_line(job["last_line"]), "italic dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _budget(budget: Json) -> str:
    """A daily budget: how much of it is used."""
    extra = f" + {budget['extra']}" if budget["extra"] else ""
    name = f"{budget['kind']} {budget['key']}".strip()
    return f"{name}: {budget['spent']} of {budget['limit']}{extra} used today"


def _pace(progress: Json) -> str:
    rate = progress["rate_per_hour"]
    return f"{rate:.{1 if rate < 10 else 0}f} dates an hour" if rate is not None else "not known yet"
