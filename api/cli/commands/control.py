"""The verbs that change something: enqueue, pause, resume, cancel, hold, release."""

from __future__ import annotations

import datetime as dt
import math

import click

from backfilld.api.cli.arguments import BACKFILL, DATE, DURATION, terms_option
from backfilld.api.cli.client import Client, Json
from backfilld.api.cli.output import (
    counts,
    example,
    json_option,
    print_answer,
    print_json,
    print_json_line,
    sanitize_line,
    url_option,
)
from backfilld.api.cli.watch_loop import display, follow, on_interrupt
from backfilld.api.cli.watch_snapshot import FailureTracker, WatchScope
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
@terms_option("--select", "TERM", "Run only these processors; see above.")
@terms_option("--exclude", "TERM", "Do not run these processors.")
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


@click.command(epilog=example("pause 7", 'pause --reason "warehouse maintenance"'))
@click.argument("backfill", type=BACKFILL, required=False)
@click.option("--reason", default="", help="Why everything is paused.")
@json_option
@url_option
def pause(backfill: int | None, reason: str, as_json: bool, url: str | None) -> None:
    """Start no more jobs of a backfill, or of all.

    Without BACKFILL everything is paused, also after a restart. Running jobs continue to their end.
    """
    if backfill is not None and reason:
        raise click.UsageError("the pause of a backfill has no reason; leave --reason out")
    if backfill is None:
        print_answer(Client(url).post("/v1/pause", {"reason": reason}), "everything is paused", as_json)
    else:
        change_backfill(Client(url), backfill, "pause", as_json)


@click.command(epilog=example("resume 7", "resume"))
@click.argument("backfill", type=BACKFILL, required=False)
@json_option
@url_option
def resume(backfill: int | None, as_json: bool, url: str | None) -> None:
    """End the pause of a backfill, or of everything."""
    if backfill is None:
        print_answer(Client(url).post("/v1/resume"), "everything is resumed", as_json)
    else:
        change_backfill(Client(url), backfill, "resume", as_json)


@click.command(epilog=example("cancel 7"))
@click.argument("backfill", type=BACKFILL)
@json_option
@url_option
def cancel(backfill: int, as_json: bool, url: str | None) -> None:
    """Cancel a backfill and stop its jobs.

    Its unfinished dates fail as `cancelled`.
    """
    change_backfill(Client(url), backfill, "cancel", as_json)


HELD = ("processor", "table", "warehouse")
"""What an operator can hold."""


@click.command(epilog=example('hold table nba_raw.nbac_team_boxscore --reason "being repaired"'))
@click.argument("kind", metavar="KIND", type=click.Choice(HELD))
@click.argument("key", default="")
@click.option("--reason", required=True, help="Why it is held; shown to whoever waits for it.")
@json_option
@url_option
def hold(kind: str, key: str, reason: str, as_json: bool, url: str | None) -> None:
    """Hold a processor, a table or the warehouse.

    KIND is processor, table or warehouse; KEY is the name of the processor or table. A held processor or
    table starts no job, a held warehouse answers no query, until the hold is released.
    """
    _check_key("hold", kind, key)
    answer = Client(url).post("/v1/holds", {"kind": kind, "key": key, "reason": reason})
    print_answer(answer, f"{f'{kind} {key}'.strip()} is held", as_json)


@click.command(
    epilog=example("release processor nbac_team_boxscore", "release warehouse --extra 50000000000")
)
@click.argument("kind", metavar="KIND", type=click.Choice([*HELD, "window", "pool"]))
@click.argument("key", default="")
@click.option("--extra", type=int, help="Attempts or bytes beyond a used-up daily budget; default: a tenth.")
@json_option
@url_option
def release(kind: str, key: str, extra: int | None, as_json: bool, url: str | None) -> None:
    """Release a hold.

    KIND is processor, table or warehouse; KEY is the name of the processor or table. An operator, the
    circuit breaker, a daily budget or an outage may have placed the hold. A window or a pool cannot be
    released: it follows from the pipeline file.
    """
    _check_key("release", kind, key)
    path = f"/v1/holds/{kind}/{key}" if key else f"/v1/holds/{kind}"
    answer = Client(url).delete(path, extra=extra)
    more = f", with {answer['allowed']} more until the quota day ends" if "allowed" in answer else ""
    print_answer(answer, f"{f'{kind} {key}'.strip()} is released{more}", as_json)


def _check_key(verb: str, kind: str, key: str) -> None:
    if bool(key) == (kind == "warehouse"):
        raise click.UsageError(f"{verb} warehouse takes no KEY; {verb} processor and {verb} table need one")


def change_backfill(client: Client, backfill: int, verb: str, as_json: bool) -> None:
    """Change a backfill by a verb of the API, and print its status afterwards."""
    row = client.post(f"/v1/backfills/{backfill}/{verb}")
    lines = [f"backfill {backfill} is {row['status']}: {counts(row['states'])}"]
    lines += [f"  {sanitize_line(withdrawal)}" for withdrawal in row.get("withdrawn", ())]
    print_answer(row, "\n".join(lines), as_json)
