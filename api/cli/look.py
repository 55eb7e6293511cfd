"""The verbs that look: status, watch, logs, backfills."""

from __future__ import annotations

import sys
import time

import click
from rich.live import Live
from rich.text import Text

from api.cli.client import ApiError, Client, Json
from api.cli.follow import picture
from api.cli.output import coloured, console, counts, json_option, print_json, table, url_option
from api.cli.steer import DATE
from api.words import span
from state.records import Action

POLL_SECONDS = 1.0


@click.command()
@click.argument("date", type=DATE, required=False)
@json_option
@url_option
def status(date: str | None, as_json: bool, url: str | None) -> None:
    """Where everything stands, or where DATE stands and why."""
    client = Client(url)
    told = client.get(f"/v1/dates/{date}") if date else client.get("/v1/progress")
    if as_json:
        print_json(told)
    elif date:
        show_date(told)
    else:
        console.print(picture(told))
        _show_backfills(client)


def show_date(date: Json) -> None:
    """One date: its state, its processors, its attempts and its history."""
    outcome = f"/{date['outcome']}" if date["outcome"] else ""
    reason = f"  {date['reason']}" if date["reason"] else ""
    console.print(Text.assemble(f"{date['date']}: ", coloured(date["state"]), f"{outcome}{reason}"))
    for mark in ("regressed", "stale"):
        if date[mark]:
            console.print(Text(f"{mark}: {date[mark]}"))
    if date["waiting_on"]:
        console.print(f"waiting on {date['waiting_on']}")
    rows = [
        [
            p["phase"],
            f"{p['symbol']} {p['processor']}",
            p["verdict"],
            "" if p["rows"] is None else str(p["rows"]),
            p["expected"] or "",
            p["reason"] or "",
        ]
        for p in date["processors"]
    ]
    table("", ["phase", "processor", "verdict", "rows", "expected", "why"], rows)
    attempts = [
        [str(a["id"]), a["processor"], a["status"], span(a["duration_seconds"]), a["detail"] or ""]
        for a in date["attempts"]
    ]
    table("attempts", ["id", "processor", "status", "took", "detail"], attempts)
    moves = [
        [t["at"], t["from"], t["to"], t["trigger"], t["actor"], t["reason"] or ""]
        for t in date["transitions"]
    ]
    table("history", ["at", "from", "to", "trigger", "who", "why"], moves)


def _show_backfills(client: Client) -> None:
    rows = [
        [
            str(b["id"]),
            b["status"],
            f"{b['start']}..{b['end']}",
            counts(b["states"]),
            b["note"] or b["stop_reason"] or "",
        ]
        for b in client.get("/v1/backfills", limit=10)["items"]
    ]
    table("backfills", ["id", "status", "range", "dates", "note"], rows)


@click.command()
@click.option("--once", is_flag=True, help="Show one picture and end.")
@url_option
def watch(once: bool, url: str | None) -> None:
    """Live progress by phase, with pace, ETA, what runs and what waits; until Ctrl-C."""
    client = Client(url)
    if once or not console.is_terminal:
        console.print(picture(client.get("/v1/progress")))
        return
    with Live(console=console, refresh_per_second=4) as live:
        while True:
            live.update(picture(client.get("/v1/progress")))
            time.sleep(POLL_SECONDS)


@click.command()
@click.argument("what")
@click.argument("processor", required=False)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the attempt has ended.")
@click.option("--tail", type=int, help="Only the last so many lines.")
@url_option
def logs(what: str, processor: str | None, following: bool, tail: int | None, url: str | None) -> None:
    """A job's output: of attempt WHAT, or of the latest attempt of PROCESSOR for the date WHAT."""
    client = Client(url)
    attempt = int(what) if what.isdecimal() and processor is None else _latest(client, what, processor)
    text, headers = client.text(f"/v1/attempts/{attempt}/log", tail=tail)
    sys.stdout.write(text)
    while following:
        sys.stdout.flush()
        ended = headers["X-Attempt-Status"] != "running"
        text, headers = client.text(f"/v1/attempts/{attempt}/log", offset=headers["X-Log-Size"])
        sys.stdout.write(text)
        if ended:
            return
        time.sleep(POLL_SECONDS / 2)


@click.command()
@click.option("--actor", help="Only what this name has changed.")
@click.option("--action", type=click.Choice([action.value for action in Action]))
@click.option("--target", help="Only what was changed of this: `backfill 7`, `2021-10-19`, `everything`.")
@click.option("--start", type=DATE, help="From this day on (UTC).")
@click.option("--end", type=DATE, help="Up to this day (UTC), included.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@json_option
@url_option
def audit(url: str | None, as_json: bool, **filters: object) -> None:
    """Who has changed what, from where and when, newest first, with how it stood before and after."""
    found = Client(url).get("/v1/audit", **filters)
    if as_json:
        print_json(found)
        return
    rows = [
        [one["at"], one["actor"], one["address"], one["action"], one["target"], _differences(one)]
        for one in found["items"]
    ]
    table("", ["at", "who", "from", "action", "what", "before and after"], rows)


def _differences(one: Json) -> str:
    """What the change changed: `status: active -> paused`."""
    before, after = one["before"] or {}, one["after"] or {}
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join(f"{name}: {before.get(name, '')} -> {after.get(name, '')}" for name in names)


def _latest(client: Client, what: str, processor: str | None) -> int:
    if processor is None:
        raise click.UsageError(
            "name the processor too: backfilld logs DATE PROCESSOR, or give an attempt's number"
        )
    date = client.get(f"/v1/dates/{DATE.convert(what, None, None)}")
    numbers = [int(a["id"]) for a in date["attempts"] if a["processor"] == processor]
    if not numbers:
        raise ApiError(f"{processor} has no attempt for {what}", 404)
    return max(numbers)


VERBS = (status, watch, logs, audit)
