"""`backfilld demo`: a daemon and real jobs on an embedded lake, for real NBA dates."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click

from backfilld.api.cli.client import ApiError, Client
from backfilld.api.cli.demo_walkthrough import summarize, walk_through
from backfilld.api.cli.output import coloured, counts, example, table
from backfilld.api.cli.progress_snapshot import FailureTracker, WatchScope
from backfilld.api.cli.standard_streams import pause
from backfilld.api.cli.watch_loop import display, follow
from backfilld.demo import environment, faults
from backfilld.state.formatting import pluralize
from backfilld.state.store.leader_election import FILE, FileLock, Holder

START_SECONDS = 180.0
"""How long the daemon may take to start."""


@click.command(epilog=example("demo", "demo --clean", "demo --pace 0.5 --stay"))
@click.option(
    "--folder",
    default="var/demo",
    show_default=True,
    help="Directory of lake and state; an earlier demo in it is removed.",
)
@click.option(
    "--listen", default="", help="HOST:PORT; else 127.0.0.1:8484, or a free port if that is in use."
)
@click.option(
    "--pace",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="Seconds that each job takes, to have something to watch.",
)
@click.option(
    "--bigquery",
    default="",
    help="Address of a BigQuery emulator to use instead of the lake. It implies --clean.",
)
@click.option("--clean", is_flag=True, help="Run 2021-10-15..2021-11-07 without faults.")
@click.option("--stay", is_flag=True, help="Keep the daemon running until Ctrl-C.")
def demo(folder: str, listen: str, pace: float, bigquery: str, clean: bool, stay: bool) -> None:
    """Run a small NBA platform, with three faults.

    It backfills 2021-10-15..2021-10-28. One job exits 0 with 2 of 16 teams, one source has no data and is
    accepted with a reason, one rerun writes nothing. Exit codes: 0 if each is caught and resolved, 1
    otherwise.
    """
    address = listen or _free_address()
    clean = clean or bool(bigquery)
    try:
        pipeline = environment.prepare(
            _checked_folder(Path(folder).absolute()), pace=f"{pace:g}", bigquery=bigquery, faulty=not clean
        )
    except OSError as error:
        raise click.BadParameter(f"{error}; name another folder", param_hint="--folder") from None
    url = f"http://{address}"
    client = Client(url)
    with environment.daemon(pipeline, address) as process:
        _wait_until_ready(client, pipeline.parent / "daemon.log", process.poll)
        click.echo(f"a daemon serves {pipeline} at {url}")
        run = _run_clean if clean else _run_with_faults
        as_expected = run(client, pipeline.parent / "lake")
        if stay:
            _show_curl(url)
            click.echo(f"the daemon keeps running: open {url}/ in a browser; Ctrl-C stops it")
            _stay(process.poll)
    raise click.exceptions.Exit(0 if as_expected else 1)


def _run_clean(client: Client, lake: Path) -> bool:
    """Backfill without faults, and list all dates."""
    started, backfill = time.monotonic(), _enqueue(client, environment.START, environment.END)
    with display() as shown:
        follow(client, FailureTracker(client, WatchScope(backfill=backfill)), shown)
    return _report(client, time.monotonic() - started)


def _run_with_faults(client: Client, lake: Path) -> bool:
    """Backfill with three faults, and say how each was caught."""
    started, backfill = time.monotonic(), _enqueue(client, faults.START, faults.END)
    walk_through(client, lake, backfill)
    return summarize(client, time.monotonic() - started)


def _enqueue(client: Client, start: date, end: date) -> int:
    result = client.post("/v1/backfills", {"start": start.isoformat(), "end": end.isoformat()})
    click.echo(f"enqueued {start}..{end}: {counts(result['outcomes'])}")
    return int(result["id"])


def _checked_folder(folder: Path) -> Path:
    """The folder, which may be emptied.

    Raises:
        click.BadParameter: it contains something other than an earlier demo.
        AlreadyRunning: the daemon of an earlier demo still runs.
    """
    if all((folder / name).exists() for name in ("pipeline.toml", "lake", "daemon.log")):
        if (folder / "state" / FILE).exists():
            lock = FileLock(folder / "state" / FILE, Holder.me(since=time.time(), listen=""))
            lock.acquire()
            lock.release()
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.BadParameter(
            f"{folder} contains something other than an earlier demo, which would be lost",
            param_hint="--folder",
        )
    return folder


def _wait_until_ready(client: Client, log: Path, ended: Callable[[], int | None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            client.text("/readyz")
        except ApiError:
            if ended() is not None:
                break
            time.sleep(0.1)
        else:
            return
    raise ApiError(f"the daemon did not start; the end of {log}:\n{_last_lines(log)}")


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])


def _report(client: Client, seconds: float) -> bool:
    """Print the dates; return whether their outcomes are as expected."""
    dates = list(
        client.all("/v1/dates", start=environment.START.isoformat(), end=environment.END.isoformat())
    )
    rows = [
        [d["date"], coloured(d["state"]), d["outcome"] or "", d["reason"] or d["waiting_on"] or ""]
        for d in dates
    ]
    table("", ["date", "state", "outcome", "reason"], rows)
    outcomes = Counter(d["outcome"] for d in dates if d["state"] == "done")
    as_expected = dict(outcomes) == dict(environment.EXPECTED)
    click.echo(f"{pluralize(len(dates), 'date')} in {seconds:.0f} s: {counts(outcomes)}")
    if not as_expected:
        click.echo(f"expected {counts(environment.EXPECTED)}", err=True)
    return as_expected


def _show_curl(url: str) -> None:
    click.echo("\nRequests to try while it runs:")
    for line in (
        f"curl -s {url}/v1/progress",
        f"curl -s {url}/v1/dates/2021-10-26",
        f"curl -s '{url}/v1/dates?state=done&limit=5'",
        f"curl -s -X POST {url}/v1/pause -H 'Content-Type: application/json' -d '{{\"reason\": \"lunch\"}}'",
        f"curl -s -X POST {url}/v1/resume -H 'Content-Type: application/json' -d '{{}}'",
        f"curl -s -X POST {url}/v1/backfills -H 'Content-Type: application/json'"
        ' -d \'{"start": "2021-11-08", "end": "2021-11-14"}\'',
        f"curl -s {url}/metrics",
    ):
        click.echo(f"  {line}")


def _stay(ended: Callable[[], int | None]) -> None:
    try:
        while ended() is None:
            pause(1)
    except KeyboardInterrupt:
        click.echo("stopping")


def _free_address() -> str:
    for port in (8484, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return f"127.0.0.1:{probe.getsockname()[1]}"
    raise ApiError("no port is free on 127.0.0.1")
