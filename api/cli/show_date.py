"""Everything about one date: sections on a terminal, facts on lines of their own elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from itertools import groupby

from rich.text import Text

from backfilld.api.cli.client import Json
from backfilld.api.cli.logfmt import Fact
from backfilld.api.cli.output import coloured, sanitize_line, sign
from backfilld.api.cli.snapshot import attempt_failure
from backfilld.api.formatting import format_duration
from backfilld.daemon.reports.remedies import helpful_command
from backfilld.state.formatting import format_counts
from backfilld.state.records import attempt_result

_NONE = "–"


def facts(date: Json) -> Iterator[Fact]:
    """The date, its processors, its attempts and its history, in this order."""
    parts = ("processors", "attempts", "transitions")
    yield Fact("date", {name: value for name, value in date.items() if name not in parts})
    for check in date["processors"]:
        waiver = {f"waiver_{key}": text for key, text in (check["waiver"] or {}).items()}
        yield Fact("processor", {k: v for k, v in check.items() if k != "waiver"} | waiver)
    for attempt in date["attempts"]:
        covered = {"dates": ",".join(attempt["dates"]), "reason": attempt_failure(attempt).reason or None}
        named = {k: v for k, v in attempt.items() if k not in ("tail", "detail", "dates")}
        yield Fact("attempt", named | covered)
    yield from (Fact("transition", move) for move in date["transitions"])


def lines(date: Json, now: dt.datetime) -> Iterator[Text]:
    """The same for people: what is wrong first, and with each trouble the command that looks at it."""
    yield from _head(date)
    longest = max((len(check["processor"]) for check in date["processors"]), default=0)
    for phase, group in groupby(date["processors"], lambda check: check["phase"]):
        checks = list(group)
        heading = phase or "no longer in the pipeline"
        yield Text.assemble("\n", (heading, "bold"), (_asked(checks, now), "dim"))
        for check in checks:
            yield from _check(check, longest)
    if date["attempts"]:
        yield Text("\nattempts", style="bold")
    for attempt in date["attempts"]:
        yield from _attempt(attempt, longest)
    if date["transitions"]:
        yield Text("\nhistory", style="bold")
    yield from map(_move, date["transitions"])


def _head(date: Json) -> Iterator[Text]:
    state = coloured(date["state"] or "never enqueued; later dates look back at it")
    outcome = f" {date['outcome']}" if date["outcome"] else ""
    reason = f": {sanitize_line(date['reason'])}" if date["reason"] else ""
    yield Text.assemble((date["date"], "bold"), "  ", state, outcome, reason)
    known = [
        f"season {date['season']}, day {date['season_day']}" if date["season"] else "out of season",
        format_counts(date["counts"]),
        f"backfill {date['backfill_id']}" if date["backfill_id"] is not None else "",
    ]
    yield Text(", ".join(word for word in known if word), style="dim")
    if date["waiting_on"]:
        prefix = "" if date["waiting_on"].startswith("blocked by") else "waits for "
        yield Text.assemble((prefix, "yellow"), sanitize_line(date["waiting_on"]))
    for mark, option in (("regressed", ""), ("stale", " --cascade")):
        if date[mark]:
            yield Text.assemble((f"{mark}: ", "yellow"), sanitize_line(date[mark]))
            if date["outcome"]:
                yield Text(f"  → backfilld retry {date['date']}{option}", style="dim")
    if date["state"] == "failed":
        unsatisfied = {c["processor"]: c["verdict"] for c in date["checks"] if not c["satisfied"]}
        yield Text(f"  → {helpful_command(date['date'], date['outcome'], unsatisfied)}", style="dim")


def _check(check: Json, longest: int) -> Iterator[Text]:
    name = f" {check['processor']:<{longest}}  {check['verdict']:<12}  "
    yield Text.assemble("  ", sign(check["symbol"]), name, _rows(check))
    if check["reason"]:
        yield Text(f"      {sanitize_line(check['reason'])}")
    if waiver := check["waiver"]:
        yield Text(f"      waived by {waiver['by']}: {sanitize_line(waiver['reason'])}", style="yellow")


def _attempt(attempt: Json, longest: int) -> Iterator[Text]:
    took = format_duration(attempt["duration_seconds"]) if attempt["ended_at"] else "so far"
    result = attempt_result(attempt["status"], attempt["exit_code"])
    line = f"  #{attempt['id']:<5} {attempt['processor']:<{longest}}  {result:<10}  {took}"
    yield Text(line)
    if attempt["status"] != "running" and attempt["exit_code"] != 0:
        told = attempt_failure(attempt)
        yield Text.assemble(f"      {sanitize_line(told.reason)}  ", (f"→ {told.command}", "dim"))


def _move(move: Json) -> Text:
    at = f"{dt.datetime.fromisoformat(move['at']).astimezone():%Y-%m-%d %H:%M:%S}"
    reason = f": {sanitize_line(move['reason'])}" if move["reason"] else ""
    moved = f"{move['from']} → {move['to']}"
    return Text.assemble((f"  {at}  ", "dim"), f"{moved}  {move['trigger']} by {move['actor']}{reason}")


def _rows(check: Json) -> str:
    """How many rows there are, and how many there should be."""
    rows = _NONE if check["rows"] is None else str(check["rows"])
    return f"{rows} of {check['expected']}" if check["expected"] else rows


def _asked(checks: list[Json], now: dt.datetime) -> str:
    """When the warehouse was asked about these: once, or from the first to the last time."""
    times = sorted(check["asked_at"] for check in checks if check["asked_at"])
    told = list(dict.fromkeys(_clock(moment, now) for moment in (times[:1] + times[-1:])))
    return f"  asked {' to '.join(told)}" if told else "  not asked yet"


def _clock(moment: str, now: dt.datetime) -> str:
    """When it was, with the day unless that is today."""
    at = dt.datetime.fromisoformat(moment).astimezone()
    return f"{at:%H:%M:%S}" if at.date() == now.astimezone().date() else f"{at:%Y-%m-%d %H:%M}"
