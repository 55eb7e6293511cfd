"""The verbs that change something: enqueue, pause, resume, cancel, retry, accept, lift."""

from __future__ import annotations

import click

from backfilld.api.cli.arguments import BACKFILL, DATE, DATE_OR_BACKFILL, PROCESSOR
from backfilld.api.cli.client import Client, Json
from backfilld.api.cli.follow import display, follow, on_interrupt
from backfilld.api.cli.output import counts, json_option, print_json, sanitize_line, url_option
from backfilld.api.cli.snapshot import Failures
from backfilld.state.formatting import pluralize


@click.command()
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
@click.option("--force", is_flag=True, help="Run every processor once, complete or not.")
@click.option("--priority", type=int, default=0, help="Higher goes first; -100 to 100.")
@click.option("--max-failures", type=int, help="Stop the backfill after so many failed dates.")
@click.option("--note", default="", help="A line for those who come after.")
@click.option("--dry-run", is_flag=True, help="Say what would become of every date, and change nothing.")
@click.option("--wait", is_flag=True, help="Show progress until the backfill has ended.")
@json_option
@url_option
def enqueue(
    start: str, end: str | None, wait: bool, as_json: bool, url: str | None, **options: object
) -> None:
    """Enqueue START to END, both included.

    With --wait it ends with exit code 0 when all went well, 1 when a date failed or the backfill was ended.
    """
    client = Client(url)
    body = {"start": start, "end": end or start, **options}
    failures = Failures(client) if wait and not options["dry_run"] else None
    receipt = client.post("/v1/backfills", body)
    if not as_json:
        _show_receipt(receipt)
    elif failures is None:
        print_json(receipt)
    if failures is not None:
        _wait(client, failures, receipt, as_json)


def _wait(client: Client, failures: Failures, receipt: Json, as_json: bool) -> None:
    """Show a backfill until its end; the exit code says whether it was a good one."""
    number = receipt["id"]
    on = f"the daemon goes on with backfill {number}; look again with: backfilld watch {number}"
    with on_interrupt(on), display(quiet=as_json) as shown:
        view = follow(client, failures, shown, backfill=number)
    if as_json:
        print_json(receipt | {"backfill": view.backfill})
    if not view.good:
        raise click.exceptions.Exit(1)


def _show_receipt(receipt: Json) -> None:
    name = f"backfill {receipt['id']}" if receipt["id"] is not None else "dry run"
    span = f"{receipt['start']}..{receipt['end']}, {pluralize(receipt['dates'], 'date')}"
    click.echo(f"{name}: {span}: {counts(receipt['outcomes'])}")
    for detail in receipt["details"]:
        if detail["outcome"] != "enqueued" or detail.get("reason"):
            click.echo(
                f"  {detail['date']}  {detail['outcome']}  {sanitize_line(detail.get('reason', ''))}".rstrip()
            )


@click.command()
@click.argument("backfill", type=BACKFILL, required=False)
@click.option("--reason", default="", help="Why everything is paused, for those who look.")
@json_option
@url_option
def pause(backfill: int | None, reason: str, as_json: bool, url: str | None) -> None:
    """Start nothing more: of BACKFILL, or of everything. Running jobs end by themselves."""
    if backfill is not None and reason:
        raise click.UsageError("the pause of a backfill keeps no reason; leave --reason out")
    if backfill is None:
        _tell(Client(url).post("/v1/pause", {"reason": reason}), "everything is paused", as_json)
    else:
        _act(Client(url), backfill, "pause", as_json)


@click.command()
@click.argument("backfill", type=BACKFILL, required=False)
@json_option
@url_option
def resume(backfill: int | None, as_json: bool, url: str | None) -> None:
    """Go on: with BACKFILL, or with everything."""
    if backfill is None:
        _tell(Client(url).post("/v1/resume"), "everything goes on", as_json)
    else:
        _act(Client(url), backfill, "resume", as_json)


@click.command()
@click.argument("backfill", type=BACKFILL)
@json_option
@url_option
def cancel(backfill: int, as_json: bool, url: str | None) -> None:
    """End BACKFILL: its running jobs are ended too, and its dates fail as cancelled."""
    _act(Client(url), backfill, "cancel", as_json)


@click.command()
@click.argument("what", type=DATE_OR_BACKFILL, required=False)
@click.option("--force", is_flag=True, help="Run every processor of the date once, complete or not.")
@click.option("--cascade", is_flag=True, help="Also compute again what is stale because of the date.")
@click.option("--regressed", "mark", flag_value="regressed", help="Done dates that are no longer complete.")
@click.option("--stale", "mark", flag_value="stale", help="Done dates to be computed again.")
@json_option
@url_option
def retry(
    what: str | int | None, force: bool, cascade: bool, mark: str | None, as_json: bool, url: str | None
) -> None:
    """Put back to pending: an ended date, the failed dates of a backfill (its number), or marked dates."""
    if what is None and mark is None:
        raise click.UsageError("name a date or a backfill, or give --regressed or --stale")
    if what is not None and mark is not None:
        raise click.UsageError(f"--{mark} is for all {mark} dates; leave it out, or leave out {what}")
    if (force or cascade) and not isinstance(what, str):
        raise click.UsageError("--force and --cascade are for one date; name it, or leave them out")
    client = Client(url)
    if what is None:
        told = client.post("/v1/dates/retry", {"mark": mark})
        _tell(told, f"{pluralize(told['retried'], f'{mark} date')} put back to pending", as_json)
        return
    if isinstance(what, int):
        _act(client, what, "retry", as_json)
        return
    told = client.post(f"/v1/dates/{what}/retry", {"force": force, "cascade": cascade})
    _tell(told, f"{what} starts again", as_json)


@click.command()
@click.argument("date", type=DATE)
@click.argument("processor", type=PROCESSOR)
@click.option("--reason", required=True, help="Why the gap is acceptable; kept for ever.")
@json_option
@url_option
def accept(date: str, processor: str, reason: str, as_json: bool, url: str | None) -> None:
    """Accept that DATE lacks PROCESSOR's output; the date goes on without it."""
    body = {"processor": processor, "reason": reason}
    told = Client(url).post(f"/v1/dates/{date}/accept", body)
    _tell(told, f"{date} goes on without {processor}", as_json)


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(["processor", "table", "warehouse"]))
@click.argument("key", default="")
@click.option(
    "--extra", type=int, help="Attempts or bytes beyond a spent daily budget; else a tenth of its limit."
)
@json_option
@url_option
def release(kind: str, key: str, extra: int | None, as_json: bool, url: str | None) -> None:
    """Lift a hold that a breaker, a budget or an outage has placed: KIND is processor, table or warehouse."""
    if bool(key) == (kind == "warehouse"):
        raise click.UsageError("lift warehouse takes no KEY; lift processor and lift table need theirs")
    path = f"/v1/holds/{kind}/{key}" if key else f"/v1/holds/{kind}"
    told = Client(url).delete(path, extra=extra)
    more = f", with {told['allowed']} more until the quota day ends" if "allowed" in told else ""
    _tell(told, f"{f'{kind} {key}'.strip()} goes on{more}", as_json)


def _act(client: Client, backfill: int, verb: str, as_json: bool) -> None:
    row = client.post(f"/v1/backfills/{backfill}/{verb}")
    _tell(row, f"backfill {backfill} is {row['status']}: {counts(row['states'])}", as_json)


def _tell(answer: Json, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(sentence)
