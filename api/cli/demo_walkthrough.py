"""The demo's walkthrough: faults are caught, and an operator's part is played in front of the reader."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from backfilld.api.cli.client import ApiError, Client, Json
from backfilld.api.cli.output import console, counts
from backfilld.api.cli.progress_snapshot import ALL_DATES, Failure, FailureTracker, Snapshot, WatchScope
from backfilld.api.cli.watch_loop import Display, display, follow
from backfilld.api.formatting import format_attempt_result
from backfilld.demo import faults
from backfilld.demo.faults import NO_DATA, PARTIAL, UNTOUCHED, Fault
from backfilld.state.formatting import pluralize

REASON = "the vendor has no props for this date"


class Operator:
    """Shows what the inner display shows, and accepts the missing source once its date has failed."""

    def __init__(self, client: Client, inner: Display) -> None:
        self._client = client
        self._inner = inner

    def show_failure(self, failure: Failure, view: Snapshot) -> None:
        """Show the failure. If it is that of the date without data, accept it."""
        self._inner.show_failure(failure, view)
        if failure.subject != str(NO_DATA.date) or failure.result != "blocked":
            return
        _say(f"backfilld accept {NO_DATA.date} {NO_DATA.processor} --reason '{REASON}'")
        body = {"processor": NO_DATA.processor, "reason": REASON}
        self._client.post(f"/v1/dates/{NO_DATA.date}/accept", body)

    def show_snapshot(self, view: Snapshot, *, last: bool) -> None:
        """Show the progress."""
        self._inner.show_snapshot(view, last=last)

    def show_unavailable(self, error: ApiError) -> None:
        """Show that the daemon does not answer."""
        self._inner.show_unavailable(error)


def walk_through(client: Client, lake: Path, backfill: int) -> None:
    """Follow the backfill to its end, then rerun its last date, whose job writes nothing at first."""
    failures = FailureTracker(client, WatchScope(backfill=backfill))
    with display() as shown:
        operator = Operator(client, shown)
        view = follow(client, failures, operator)
        if view.backfill is not None and view.backfill["status"] == "stuck":
            follow(client, failures, operator)  # the accepted date has continued
        UNTOUCHED.switch_on(lake)
        _say(f"backfilld retry {UNTOUCHED.date} --force")
        client.post(f"/v1/dates/{UNTOUCHED.date}/retry", {"force": True})
        failures.scope = ALL_DATES
        follow(client, failures, operator)


def summarize(client: Client, seconds: float) -> bool:
    """Print in five lines what happened and where to look; return whether each fault was resolved."""
    listed = client.all("/v1/dates", start=faults.START.isoformat(), end=faults.END.isoformat())
    outcomes = Counter(str(date["outcome"]) for date in listed)
    partial, no_data, untouched = (_attempts(client, fault) for fault in (PARTIAL, NO_DATA, UNTOUCHED))
    total = f"{pluralize(outcomes.total(), 'date')} in {seconds:.0f} s: {counts(outcomes)}"
    for line in (
        f"1. {_sentence(PARTIAL, partial[:1])}. It ran again: {_result(partial[-1:])}.",
        f"2. {_sentence(NO_DATA, no_data)}. The date failed, was accepted with a reason, and went on.",
        f"3. A rerun: {_sentence(UNTOUCHED, untouched[1:2])}. It ran again: {_result(untouched[-1:])}.",
        f"Every one of these jobs exited with 0. {total}.",
        f"Open {client.url}/dates/{PARTIAL.date} while a demo with --stay runs (make demo STAY=1).",
    ):
        console.print(line)
    caught = [
        tuple(attempt["verdict"] for attempt in attempts) == fault.verdicts
        for fault, attempts in ((PARTIAL, partial), (NO_DATA, no_data), (UNTOUCHED, untouched))
    ]
    return all(caught) and outcomes == faults.OUTCOMES


def _attempts(client: Client, fault: Fault) -> list[Json]:
    """The attempts of the fault's processor on its date, oldest first."""
    attempts = client.get(f"/v1/dates/{fault.date}")["attempts"]
    return [attempt for attempt in attempts if attempt["processor"] == fault.processor]


def _sentence(fault: Fault, attempts: Sequence[Json]) -> str:
    times = "" if len(attempts) == 1 else f", {len(attempts)} times in a row"
    return f"{fault.processor} on {fault.date}: {_result(attempts)}{times}"


def _result(attempts: Sequence[Json]) -> str:
    """The result of the last of some attempts: `exit 0 · 2 of 16 rows`."""
    if not attempts:
        return "no attempt"
    last = attempts[-1]
    return format_attempt_result(last["status"], last["exit_code"], last["verdict"], last["verdict_reason"])


def _say(command: str) -> None:
    """Print the command that does what the demo does next."""
    console.print(Text.assemble(("→ ", "dim"), (command, "bold")))
