"""The verbs that show progress: status, watch, list."""

from __future__ import annotations

import csv
import datetime as dt
import shlex
import sys

import click

from backfilld.api.cli import completions, show_date, terminal_dashboard
from backfilld.api.cli.argument_types import BACKFILL, DATE
from backfilld.api.cli.client import Client, Json
from backfilld.api.cli.output import (
    coloured,
    console,
    example,
    json_option,
    print_json,
    print_wrapped,
    sanitize_line,
    table,
    url_option,
)
from backfilld.api.cli.progress_snapshot import (
    FailureTracker,
    Snapshot,
    WatchScope,
    date_failure,
    take_snapshot,
)
from backfilld.api.cli.watch_loop import display, follow, on_interrupt
from backfilld.state.records import Mark
from backfilld.state.rules.date_outcomes import Outcome

MAX_FAILURES = 5
"""The most failed dates that `status` shows one by one."""
_MAX_BACKFILLS = 10
"""The most live backfills that `status` shows, and the most others."""
COLUMNS = ("date", "state", "outcome", "reason", "waiting_on", "backfill_id", "regressed", "stale")
"""The columns of `list --csv`, which are fields of the API."""


@click.command(epilog=example("status", "status 2021-10-26"))
@click.argument("date", type=DATE, required=False)
@json_option
@url_option
def status(date: str | None, as_json: bool, url: str | None) -> None:
    """Show the status of everything, or of one date.

    For DATE it shows the verdict of every processor, the attempts, and why the date waits or failed.
    """
    client = Client(url)
    if date:
        document = client.get(f"/v1/dates/{date}")
        print_json(document) if as_json else print_date(document)
    else:
        _print_everything(client, as_json)


def print_date(date: Json) -> None:
    """Print one date: its state, processors, attempts and history; wrapped on a terminal only."""
    for line in show_date.lines(date, dt.datetime.now(dt.UTC)):
        print_wrapped(line)


def _print_everything(client: Client, as_json: bool) -> None:
    """Print the overall status, the first failed dates, the live backfills and the latest others."""
    view = take_snapshot(client)
    failed = client.get("/v1/dates", state="failed", limit=MAX_FAILURES)["items"]
    live = client.get("/v1/backfills", live="true", limit=_MAX_BACKFILLS)["items"]
    backfills = live + client.get("/v1/backfills", live="false", limit=_MAX_BACKFILLS)["items"]
    if as_json:
        document = {"progress": view.progress, "activity": view.activity}
        print_json(document | {"failed": failed, "backfills": backfills})
        return
    _print_snapshot(view)
    for failure in map(date_failure, failed):
        console.print(terminal_dashboard.failure_lines(failure), soft_wrap=not console.is_terminal)
    if (more := view.progress["dates"]["failed"] - len(failed)) > 0:
        console.print(f"and {more} more failed dates → backfilld list --state failed")
    if backfills:
        _print_backfills(backfills)


def _print_backfills(backfills: list[Json]) -> None:
    rows = [
        [
            str(row["id"]),
            row["status"],
            f"{row['start']}..{row['end']}",
            terminal_dashboard.date_counts(row),
            sanitize_line(row["stuck_on"] or row["stop_reason"] or row["note"] or ""),
        ]
        for row in backfills
    ]
    table("backfills", ["id", "status", "range", "dates", "note"], rows)


def _print_snapshot(view: Snapshot) -> None:
    """Print a picture on a terminal, plain lines elsewhere."""
    if console.is_terminal:
        console.print(terminal_dashboard.picture(view, console, whole=True), soft_wrap=False)
    else:
        for line in terminal_dashboard.plain_lines(view):
            click.echo(line)


@click.command(epilog=example("watch", "watch 7", "watch --season 2021-22 --failures"))
@click.argument("backfill", type=BACKFILL, required=False)
@click.option(
    "--season",
    metavar="NAME|YEARS",
    type=completions.Completed(completions.seasons),
    help="Only the dates of a season: 2021-22, or 2021.",
)
@click.option("--failures", "failures_only", is_flag=True, help="Print failed dates and attempts alone.")
@click.option("--once", is_flag=True, help="Print one snapshot and exit.")
@click.option(
    "--until-done", is_flag=True, help="Exit when no date is live any more, or none moves by itself."
)
@json_option
@url_option
def watch(
    backfill: int | None,
    season: str | None,
    *,
    failures_only: bool,
    once: bool,
    until_done: bool,
    as_json: bool,
    url: str | None,
) -> None:
    """Follow everything, a season or a backfill.

    It follows everything and a season until Ctrl-C, and BACKFILL until it has ended. With --failures it
    prints the dates that are failed now, then each attempt and date that fails. With --json it prints a JSON
    document per line.

    Exit codes with BACKFILL or --until-done: 0 without a failed date; 1 with one, or if the backfill was
    cancelled, stopped or paused, or is stuck; without BACKFILL if all of them are. After Ctrl-C: 130. With
    --once: 0.
    """
    client, scope = Client(url), WatchScope(backfill=backfill, season=season)
    view = take_snapshot(client, scope)
    if once and not failures_only:
        print_json(view.document) if as_json else _print_snapshot(view)
        return
    failures = FailureTracker(client, scope)
    to_end = until_done or backfill is not None
    with (
        on_interrupt(f"the daemon continues; watch again with: {_watch_command(scope, failures_only)}"),
        display(as_json=as_json, failures_only=failures_only) as shown,
    ):
        for failure in failures.failed_dates() if failures_only else ():
            shown.show_failure(failure, view)
        if once:
            return
        view = follow(client, failures, shown, to_end=to_end)
    if not view.succeeded:
        raise click.exceptions.Exit(1)


def _watch_command(scope: WatchScope, failures_only: bool) -> str:
    number = [str(scope.backfill)] if scope.backfill is not None else []
    season = ["--season", shlex.quote(scope.season)] if scope.season else []
    return " ".join(["backfilld watch", *number, *season, *(["--failures"] if failures_only else [])])


@click.command("list", epilog=example("list --state failed", "list --mark stale --since 2021-11-01 --csv"))
@click.option(
    "--state",
    metavar="STATE[,STATE]",
    type=completions.Completed(completions.states, listed=True),
    help="Only dates in these states.",
)
@click.option(
    "--outcome",
    type=click.Choice([one.value for one in Outcome]),
    metavar="OUTCOME",
    help=f"Only dates that ended so: {', '.join(Outcome)}.",
)
@click.option("--mark", type=click.Choice([one.value for one in Mark]), help="Only dates with this mark.")
@click.option("--since", type=DATE, help="From this date on.")
@click.option("--until", type=DATE, help="Up to this date, included.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@json_option
@url_option
def list_dates(
    since: str | None,
    until: str | None,
    outcome: str | None,
    as_csv: bool,
    as_json: bool,
    url: str | None,
    **filters: str | None,
) -> None:
    """List dates by state, outcome or mark.

    Only dates that were ever enqueued are listed, oldest first.
    """
    if as_csv and as_json:
        raise click.UsageError("give --csv or --json, not both")
    pages = Client(url).all("/v1/dates", start=since, end=until, **filters)
    dates = [date for date in pages if outcome in (None, date["outcome"])]
    if as_json:
        print_json({"dates": len(dates), "items": dates})
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerows([COLUMNS, *([_cell(date[name]) for name in COLUMNS] for date in dates)])
    else:
        rows = [
            [date["date"], coloured(date["state"]), date["outcome"] or "", _explanation(date)]
            for date in dates
        ]
        table("", ["date", "state", "outcome", "reason"], rows)


def _cell(value: object) -> str:
    return "" if value is None else sanitize_line(str(value))


def _explanation(date: Json) -> str:
    """Why a date waits or ended, and its marks."""
    marks = [f"{mark}: {date[mark]}" for mark in Mark if date[mark]]
    return sanitize_line("; ".join([*filter(None, [date["reason"] or date["waiting_on"]]), *marks]))
