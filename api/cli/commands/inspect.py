"""The verbs that look: status, watch, logs, audit."""

from __future__ import annotations

import codecs
import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Iterator

import click

from backfilld.api.cli import dashboard, logfmt
from backfilld.api.cli import show_date as date_view
from backfilld.api.cli.arguments import BACKFILL, DATE, DATE_OR_ATTEMPT, PROCESSOR
from backfilld.api.cli.client import ApiError, Client, Json
from backfilld.api.cli.follow import POLL_SECONDS, display, follow, on_interrupt
from backfilld.api.cli.output import (
    console,
    counts,
    json_option,
    print_json,
    sanitize,
    sanitize_line,
    table,
    url_option,
)
from backfilld.api.cli.snapshot import Failures, Snapshot, date_failure, take_snapshot
from backfilld.state.records import Action

MOST_FAILURES = 5
"""Failed dates that are named one by one."""
PART_BYTES = 8 << 20
"""How much of a log is asked for at once: little for the memory, and seldom for the limit of requests."""


@click.command()
@click.argument("date", type=DATE, required=False)
@json_option
@url_option
def status(date: str | None, as_json: bool, url: str | None) -> None:
    """Where everything stands, or where DATE stands and why."""
    client = Client(url)
    if date:
        told = client.get(f"/v1/dates/{date}")
        print_json(told) if as_json else show_date(told)
    else:
        _show_all(client, as_json)


def show_date(told: Json) -> None:
    """One date: its state, its processors, its attempts and its history."""
    now = dt.datetime.now(dt.UTC)
    if console.is_terminal:
        for line in date_view.lines(told, now):
            console.print(line, soft_wrap=False)
    else:
        _print_facts(date_view.facts(told), now)


def _show_all(client: Client, as_json: bool) -> None:
    """The whole, with the first dates that have failed and the latest backfills."""
    view = take_snapshot(client)
    failed = client.get("/v1/dates", state="failed", limit=MOST_FAILURES)["items"]
    backfills = client.get("/v1/backfills", limit=10)["items"]
    if as_json:
        whole = {"progress": view.progress, "activity": view.activity}
        print_json(whole | {"failed": failed, "backfills": backfills})
        return
    _show_once(view)
    if not console.is_terminal:
        _print_facts(map(logfmt.failed, map(date_failure, failed)), view.at)
        _print_facts(map(logfmt.backfill, backfills), view.at)
        return
    for failure in map(date_failure, failed):
        console.print(dashboard.failure_lines(failure), soft_wrap=False)
    if (more := view.progress["dates"]["failed"] - len(failed)) > 0:
        console.print(f"and {more} more failed dates")
    rows = [
        [
            str(b["id"]),
            b["status"],
            f"{b['start']}..{b['end']}",
            counts(b["states"]),
            sanitize_line(b["note"] or b["stop_reason"] or ""),
        ]
        for b in backfills
    ]
    table("backfills", ["id", "status", "range", "dates", "note"], rows)


def _show_once(view: Snapshot) -> None:
    """A picture on a terminal, and all facts elsewhere."""
    if console.is_terminal:
        console.print(dashboard.picture(view, console), soft_wrap=False)
    else:
        _print_facts((*logfmt.summary(view), *logfmt.held(view), *logfmt.details(view)), view.at)


def _print_facts(found: Iterable[logfmt.Fact], at: dt.datetime) -> None:
    for fact in found:
        click.echo(fact.line(at))


@click.command()
@click.argument("backfill", type=BACKFILL, required=False)
@click.option("--once", is_flag=True, help="Show how it stands now and end.")
@click.option("--until-done", is_flag=True, help="End when no date is live any more.")
@json_option
@url_option
def watch(backfill: int | None, once: bool, until_done: bool, as_json: bool, url: str | None) -> None:
    """Live progress of everything, until Ctrl-C; or of BACKFILL, until it has ended.

    With BACKFILL or --until-done it ends with exit code 0 when all went well, 1 when a date stands failed or
    the backfill was ended before its time. After Ctrl-C it is 130. With --once it is 0 however it stands.
    """
    client = Client(url)
    if once:
        view = take_snapshot(client, backfill)
        print_json(view.told) if as_json else _show_once(view)
        return
    failures = Failures(client)
    to_end = until_done or backfill is not None
    again = "backfilld watch" if backfill is None else f"backfilld watch {backfill}"
    with on_interrupt(f"the daemon goes on; look again with: {again}"), display(as_json=as_json) as sanitize:
        view = follow(client, failures, sanitize, backfill=backfill, to_end=to_end)
    if not view.good:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("what", type=DATE_OR_ATTEMPT)
@click.argument("processor", type=PROCESSOR, required=False)
@click.option("-f", "--follow", "following", is_flag=True, help="Go on until the attempt has ended.")
@click.option("--tail", type=int, help="Only the last so many lines.")
@url_option
def logs(what: str | int, processor: str | None, following: bool, tail: int | None, url: str | None) -> None:
    """A job's output: of attempt WHAT, or of the latest attempt of PROCESSOR for the date WHAT."""
    if isinstance(what, int) != (processor is None):
        raise click.UsageError("give a date and PROCESSOR, or an attempt's number alone")
    client = Client(url)
    attempt = _latest(client, what, processor) if processor is not None else what
    write = _log_writer()
    for part in _parts(client, f"/v1/attempts/{attempt}/log", tail, following):
        write(part)


def _parts(client: Client, path: str, tail: int | None, following: bool) -> Iterator[bytes]:
    """A log in parts, each an answer of its own: as far as it is written; followed, until its job has ended.

    Neither side holds all of a large one, and a pager that is left open keeps no thread of the daemon.
    """
    part, told = client.raw(path, tail=tail, limit=PART_BYTES)
    if "X-Log-Size" not in told:
        raise client.stranger()
    wanted = int(told["X-Log-Size"])
    while True:
        yield part
        at = int(told["X-Log-End"])
        if following:
            wanted = int(told["X-Log-Size"])
        if at >= wanted or not part:
            if not following or told["X-Attempt-Status"] != "running":
                return
            time.sleep(POLL_SECONDS)
        part, told = client.raw(path, offset=at, limit=PART_BYTES)


def _log_writer() -> Callable[[bytes], None]:
    """Writes parts of a log as they are; to a terminal without the characters that steer it."""
    if not console.is_terminal:
        return lambda part: click.echo(part, nl=False)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda part: click.echo(sanitize(decoder.decode(part)), nl=False)


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
    """What the change changed: `status: active -> paused`; of what is new or gone, how it is or was."""
    before, after = _facts(one["before"]), _facts(one["after"])
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    sides = {name: [side[name] for side in (before, after) if name in side] for name in names}
    return sanitize_line("; ".join(f"{name}: {' -> '.join(told)}" for name, told in sides.items()))


def _facts(recorded: Json | None, within: str = "") -> dict[str, str]:
    """What is recorded of a thing by the path to it: `accepted.by`; nothing is said of what is empty."""
    found: dict[str, str] = {}
    for name, value in (recorded or {}).items():
        if isinstance(value, dict):
            found |= _facts(value, f"{within}{name}.")
        elif value not in (None, ""):
            found[within + name] = value if isinstance(value, str) else json.dumps(value)
    return found


def _latest(client: Client, date: str | int, processor: str) -> int:
    told = client.get(f"/v1/dates/{date}")
    numbers = [int(a["id"]) for a in told["attempts"] if a["processor"] == processor]
    if not numbers:
        raise ApiError(f"{processor} has no attempt for {date}", 404)
    return max(numbers)
