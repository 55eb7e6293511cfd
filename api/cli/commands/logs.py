"""`backfilld logs`: the output of an attempt, read in parts."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator

import click

from backfilld.api.cli.argument_types import DATE_OR_ATTEMPT, PROCESSOR
from backfilld.api.cli.client import ApiError, Client
from backfilld.api.cli.output import console, example, json_option, print_json, sanitize, url_option
from backfilld.api.cli.standard_streams import is_read, pause
from backfilld.api.cli.watch_loop import POLL_SECONDS
from backfilld.state.spelling_suggestions import did_you_mean

PART_BYTES = 8 << 20
"""Bytes of a log per request: small for the memory, large enough for the rate limit."""


@click.command(
    epilog=example("logs 31", "logs 2021-10-26 player_game_summary -f", "logs 2021-10-26 stg_orders --check")
)
@click.argument("what", type=DATE_OR_ATTEMPT)
@click.argument("processor", type=PROCESSOR, required=False)
@click.option("-f", "--follow", "following", is_flag=True, help="Continue until the attempt has ended.")
@click.option("--check", "of_check", is_flag=True, help="Of a date: the log of PROCESSOR's check command.")
@click.option("--tail", type=int, help="Only the last lines, so many.")
@json_option
@url_option
def logs(
    what: str | int,
    processor: str | None,
    following: bool,
    of_check: bool,
    tail: int | None,
    as_json: bool,
    url: str | None,
) -> None:
    """Print the log of an attempt or check.

    WHAT is the number of an attempt, or a date; for a date it is the latest attempt of PROCESSOR. With --json
    it prints the attempt with its log as `log`.
    """
    if isinstance(what, int) != (processor is None):
        raise click.UsageError("give a date and PROCESSOR, or the number of an attempt alone")
    if following and as_json:
        raise click.UsageError("give --follow or --json, not both")
    if of_check and (processor is None or as_json):
        raise click.UsageError("--check takes a date and PROCESSOR, and no --json")
    client, write = Client(url), _log_writer()
    if of_check:
        for part in _parts(client, f"/v1/dates/{what}/checks/{processor}/log", tail, following):
            write(part)
        return
    attempt = _latest(client, what, processor) if processor is not None else what
    parts = _parts(client, f"/v1/attempts/{attempt}/log", tail, following)
    if as_json:
        log = b"".join(parts).decode(errors="replace")
        print_json(client.get(f"/v1/attempts/{attempt}") | {"log": log})
        return
    for part in parts:
        write(part)


def _parts(client: Client, path: str, tail: int | None, following: bool) -> Iterator[bytes]:
    """A log in parts, one request each: as far as it is written; with `following`, until its job has ended.

    Neither side holds all of a large log, and a pager that stays open occupies no thread of the daemon.
    """
    part, headers = client.raw(path, tail=tail, limit=PART_BYTES)
    if "X-Log-Size" not in headers:
        raise client.not_backfilld_error()
    size = int(headers["X-Log-Size"])
    while True:
        yield part
        offset = int(headers["X-Log-End"])
        if following:
            size = int(headers["X-Log-Size"])
        if offset >= size or not part or not is_read():
            status = headers.get("X-Attempt-Status") or headers.get("X-Check-Status")
            if not following or status != "running":
                return
            pause(POLL_SECONDS)
        part, headers = client.raw(path, offset=offset, limit=PART_BYTES)


def _log_writer() -> Callable[[bytes], None]:
    """Writes parts of a log byte by byte; to a terminal without control characters."""
    if not console.is_terminal:
        return lambda part: click.echo(part, nl=False)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return lambda part: click.echo(sanitize(decoder.decode(part)), nl=False)


def _latest(client: Client, date: str | int, processor: str) -> int:
    known = client.get(f"/v1/dates/{date}")
    numbers = [int(attempt["id"]) for attempt in known["attempts"] if attempt["processor"] == processor]
    if not numbers:
        names = [check["processor"] for check in known["processors"]]
        listed = f"backfilld status {date} lists those of it"
        hint = listed if processor in names or not names else did_you_mean(processor, names)
        raise ApiError(f"{processor} has no attempt for {date}; {hint}", 404)
    return max(numbers)
