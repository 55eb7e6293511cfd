"""The verb about running attempts: mark-lost."""

from __future__ import annotations

import click

from backfilld.api.cli.client import Client
from backfilld.api.cli.output import example, json_option, print_answer, url_option


@click.command(epilog=example('mark-lost 31 32 --reason "that machine is gone"'))
@click.argument("attempts", metavar="ATTEMPT...", type=click.IntRange(min=1), nargs=-1, required=True)
@click.option("--reason", required=True, help="How you know that the job does not run; kept in the audit.")
@json_option
@url_option
def mark_lost(attempts: tuple[int, ...], reason: str, as_json: bool, url: str | None) -> None:
    """Declare attempts lost whose host is gone.

    Their tables and slots are free at once, and the jobs run again elsewhere; without it that takes the
    timeout of the job. It is refused while a job can be seen to run. If the host comes back with the job, the
    job is stopped.
    """
    client = Client(url)
    for number in attempts:
        answer = client.post(f"/v1/attempts/{number}/mark-lost", {"reason": reason})
        print_answer(answer, f"attempt {number} of {answer['processor']} is lost; its dates go on", as_json)
