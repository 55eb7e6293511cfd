"""`backfilld enqueue`: request a backfill, and with --wait follow it to its end."""

from __future__ import annotations

import datetime as dt
import math

import click

from backfilld.api.cli import completions
from backfilld.api.cli.argument_types import DATE, DURATION, terms_option
from backfilld.api.cli.client import Client, Json
from backfilld.api.cli.output import (
    counts,
    example,
    json_option,
    print_json,
    print_json_line,
    sanitize_line,
    url_option,
)
from backfilld.api.cli.progress_snapshot import FailureTracker, WatchScope
from backfilld.api.cli.watch_loop import display, follow, on_interrupt
from backfilld.state.formatting import format_date_ranges, pluralize


@click.command(
    epilog=example("enqueue 2021-10-19 2021-10-31 --wait", "enqueue 2021-10-19 --sources critical --dry-run")
)
@click.argument("start", type=DATE)
@click.argument("end", type=DATE, required=False)
@click.option(
    "--sources",
    "--scrapers",
    "sources",
    type=click.Choice(["all", "critical", "none"]),
    default="all",
    help="Which sources may run.",
)
@terms_option("--select", "TERM", "Run only these processors; see above.", completions.terms)
@terms_option("--exclude", "TERM", "Do not run these processors.", completions.terms)
@click.option("--with-upstream", is_flag=True, help="Also run what the selected ones are computed from.")
@click.option("--force", is_flag=True, help="Run every selected processor once, complete or not.")
@click.option("--priority", type=int, default=0, help="Higher goes first; -100 to 100.")
@click.option("--max-failures", type=int, help="Stop the backfill after this many failed dates.")
@click.option("--note", default="", help="A line that is shown with the backfill.")
@click.option("--dry-run", is_flag=True, help="Print the outcome of every date, and change nothing.")
@click.option("--wait", is_flag=True, help="Show progress until the backfill has ended.")
@click.option("--timeout", type=DURATION, help="With --wait: for how long at most, such as 30m or 4h.")
@json_option
@url_option
def enqueue(
    start: str,
    end: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
    url: str | None,
    **options: object,
) -> None:
    """Request a backfill of START to END.

    A TERM is a processor, or phase:NAME; `+` before it adds everything upstream, after it everything
    downstream. Terms are separated by commas, or the option is repeated.

    Both ends are included; without END it is one date. Exit codes with --wait: 0 without a failed date;
    1 with one, if the backfill was cancelled, stopped or paused, if it is stuck, or at the --timeout. The
    daemon goes on in any case. With --wait and --json it prints JSON lines: the outcomes of the request,
    then the progress.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for --wait; add it, or leave --timeout out")
    client = Client(url)
    # The API refuses an empty selection: a request without one leaves it out.
    body = {"start": start, "end": end or start, **options, "select": options["select"] or None}
    failures = FailureTracker(client) if wait and not options["dry_run"] else None
    result = client.post("/v1/backfills", body)
    if failures is None:
        print_json(result) if as_json else _print_result(result)
    else:
        print_json_line(result) if as_json else _print_result(result)
        _wait(client, failures, result["id"], math.inf if timeout is None else timeout, as_json)


def _wait(client: Client, failures: FailureTracker, number: int, timeout: float, as_json: bool) -> None:
    """Follow a backfill until it has ended or stays where it is; exit with 1 unless it succeeded."""
    failures.scope = WatchScope(backfill=number)
    message = f"the daemon continues backfill {number}; watch it with: backfilld watch {number}"
    with on_interrupt(message), display(as_json=as_json) as shown:
        view = follow(client, failures, shown, timeout=timeout)
    if not view.ended:
        click.echo(f"not finished within --timeout; {message}", err=True)
    if not view.succeeded:
        raise click.exceptions.Exit(1)


def _print_result(result: Json) -> None:
    """Print the outcomes of a request, with a line for each reason and the ranges of its dates."""
    name = f"backfill {result['id']}" if result["id"] is not None else "dry run"
    span = f"{result['start']}..{result['end']}, {pluralize(result['dates'], 'date')}"
    click.echo(f"{name}: {span}: {counts(result['outcomes'])}")
    if result["select"] is not None:
        click.echo(f"  selected: {', '.join(result['select'])}")
    for warning in result.get("warnings", ()):
        click.echo(f"  warning: {sanitize_line(warning)}")
    if stale := result.get("becomes_stale"):
        debt = ", ".join(f"{name} on {pluralize(n, 'date')}" for name, n in stale.items())
        click.echo(f"  becomes stale at most: {debt}; recompute it with: backfilld retry --stale")
    dates: dict[tuple[str, str], list[dt.date]] = {}
    for detail in result["details"]:
        key = (detail["outcome"], detail.get("reason", ""))
        dates.setdefault(key, []).append(dt.date.fromisoformat(detail["date"]))
    for (outcome, reason), group in dates.items():
        if outcome != "enqueued" or reason:
            line = f"  {format_date_ranges(group)}  {outcome}  {sanitize_line(reason)}"
            click.echo(line.rstrip())
