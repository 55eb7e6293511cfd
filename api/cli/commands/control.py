"""The verbs that control what runs: pause, resume, cancel, hold, release."""

from __future__ import annotations

import click

from backfilld.api.cli.argument_types import BACKFILL
from backfilld.api.cli.client import Client
from backfilld.api.cli.completions import HoldKey
from backfilld.api.cli.output import (
    counts,
    example,
    json_option,
    print_answer,
    sanitize_line,
    url_option,
)


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
@click.argument("key", default="", type=HoldKey(releases=False))
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
@click.argument("key", default="", type=HoldKey(releases=True))
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
