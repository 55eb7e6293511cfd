"""Follow a backfill or everything: a live picture on a terminal, plain lines elsewhere, each failure once."""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Protocol, Self

import click
from rich.live import Live
from rich.text import Text

from backfilld.api.cli import terminal_dashboard
from backfilld.api.cli.client import ApiError, Client, Json
from backfilld.api.cli.output import animated, console, print_json_line, sanitize_line
from backfilld.api.cli.progress_snapshot import Failure, FailureTracker, Snapshot, take_snapshot
from backfilld.api.cli.standard_streams import pause

POLL_SECONDS = 0.5
PAUSE_FACTOR = 5
"""A pause is at least this many times as long as the poll before it: polls of many dates are expensive."""
LINE_SECONDS = 10.0
"""Between two plain lines about the progress; failures and holds are printed at once."""
RECONNECT_SECONDS = 2.0
"""Between two attempts to reach a daemon that does not answer."""
INTERRUPTED = 130
"""The exit code after Ctrl-C."""


class Display(Protocol):
    """Shows snapshots and failures."""

    def show_failure(self, failure: Failure, view: Snapshot) -> None:
        """Show a new failure."""

    def show_snapshot(self, view: Snapshot, *, last: bool) -> None:
        """Show the progress; completely if it is the last snapshot."""

    def show_unavailable(self, error: ApiError) -> None:
        """Show that the daemon does not answer."""


def follow(
    client: Client,
    failures: FailureTracker,
    display: Display,
    *,
    to_end: bool = True,
    timeout: float = math.inf,
) -> Snapshot:
    """Show the scope of `failures`, such as a backfill, until it has ended or stays where it is.

    It returns the last snapshot. After `timeout` seconds that is the one of that moment. While a daemon is
    being restarted, it waits for the daemon.

    Raises:
        ApiError: the daemon refused, or did not answer until the timeout.
        ReaderEnded: nothing reads the output any more.
    """
    deadline = time.monotonic() + timeout
    while True:
        started = time.monotonic()
        try:
            view = take_snapshot(client, failures.scope)
            last = (to_end and view.ended) or time.monotonic() >= deadline
            for failure in failures.new_failures(view.progress, last=last):
                display.show_failure(failure, view)
        except ApiError as error:
            refused = error.status is not None and error.status < 500 and error.status != 429
            if refused or time.monotonic() >= deadline:
                raise
            display.show_unavailable(error)
            pause(RECONNECT_SECONDS)
            continue
        display.show_snapshot(view, last=last)
        if last:
            return view
        now = time.monotonic()
        seconds = max(POLL_SECONDS, PAUSE_FACTOR * (now - started))
        pause(min(seconds, max(deadline - now, 0.0)))


def display(*, as_json: bool = False, failures_only: bool = False) -> AbstractContextManager[Display]:
    """The display that suits the output: JSON lines, a live picture, plain lines, or failures alone."""
    if failures_only:
        return nullcontext(FailureLines(as_json=as_json))
    if as_json:
        return nullcontext(JsonLines())
    return LivePicture() if animated() else nullcontext(PlainLines())


@contextmanager
def on_interrupt(message: str) -> Iterator[None]:
    """On Ctrl-C, print what continues in the daemon, and exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{message}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


class LivePicture:
    """A picture that is redrawn in place; failures scroll by above it."""

    def __init__(self) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show_failure(self, failure: Failure, view: Snapshot) -> None:
        """Print it above the picture."""
        console.print(terminal_dashboard.failure_lines(failure, view.at), soft_wrap=False)

    def show_snapshot(self, view: Snapshot, *, last: bool) -> None:
        """Redraw the picture."""
        self._live.update(terminal_dashboard.picture(view, console, whole=last), refresh=True)

    def show_unavailable(self, error: ApiError) -> None:
        """Replace the picture until the daemon answers again."""
        self._live.update(Text(f"{error}; trying again", style="red"), refresh=True)


class OutageLines:
    """The part that all displays of lines share: each outage of the daemon once, on stderr."""

    def __init__(self) -> None:
        self._available = True

    def show_snapshot(self, view: Snapshot, *, last: bool) -> None:
        """Print nothing. The daemon answers, so the next outage is a new one."""
        self._available = True

    def show_unavailable(self, error: ApiError) -> None:
        """Print the first error of an outage."""
        if self._available:
            click.echo(f"{error}; trying again", err=True)
        self._available = False


class PlainLines(OutageLines):
    """Lines with a time: each failure and hold at once, the progress from time to time if it changed."""

    def __init__(self, echo: Callable[[str], None] = click.echo) -> None:
        super().__init__()
        self._echo = echo
        self._progress = ""
        self._progress_at = float("-inf")
        self._holds: set[str] = set()

    def show_failure(self, failure: Failure, view: Snapshot) -> None:
        """Print it at once."""
        self._echo(_failure_line(failure, view.at))

    def show_snapshot(self, view: Snapshot, *, last: bool) -> None:
        """Print new holds at once; the progress every `LINE_SECONDS`, and at the end."""
        super().show_snapshot(view, last=last)
        holds = {
            f"held: {terminal_dashboard.hold_text(hold)} → {terminal_dashboard.release_command(hold)}"
            for hold in view.progress["holds"]
        }
        for hold in sorted(holds - self._holds):
            self._echo(_line(view.at, hold))
        self._holds = holds
        if last or time.monotonic() - self._progress_at >= LINE_SECONDS:
            progress = _progress_line(view)
            if progress != self._progress:
                self._echo(_line(view.at, progress))
            self._progress, self._progress_at = progress, time.monotonic()


class FailureLines(OutageLines):
    """Each failure on a line of its own, as text with the time or as JSON, and nothing else."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def show_failure(self, failure: Failure, view: Snapshot) -> None:
        """Print it at once."""
        if self._as_json:
            print_json_line(failure.document)
        else:
            click.echo(_failure_line(failure, view.at))


class JsonLines(OutageLines):
    """A JSON document on a line of its own, from time to time and at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._printed_at = float("-inf")

    def show_failure(self, failure: Failure, view: Snapshot) -> None:
        """Print nothing: the counts of the next document include it."""

    def show_snapshot(self, view: Snapshot, *, last: bool) -> None:
        """Print the whole snapshot."""
        super().show_snapshot(view, last=last)
        if last or time.monotonic() - self._printed_at >= LINE_SECONDS:
            print_json_line(view.document)
            self._printed_at = time.monotonic()


def _line(at: dt.datetime, text: str) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ} {sanitize_line(text)}"


def _failure_line(failure: Failure, at: dt.datetime) -> str:
    reason = f": {failure.reason}" if failure.reason else ""
    head = f"{failure.symbol} {failure.subject} {failure.result}{reason}"
    return _line(at, f"{head} → {failure.command}")


def _progress_line(view: Snapshot) -> str:
    """`backfill 1 is active: ...; phase2 3/6 (50 %), ...; ETA in 5 min`."""
    phases = ", ".join(map(_phase, view.progress["phases"]))
    ends = "" if view.ended else f"; ETA {terminal_dashboard.eta(view.progress, view.at)}"
    problems = "".join(f"; problem: {text}" for text in view.progress["problems"])
    return f"{terminal_dashboard.title(view)}; {phases}{ends}{problems}"


def _phase(phase: Json) -> str:
    return f"{phase['phase']} {phase['satisfied']}/{phase['total']} ({int(100 * phase['ratio'])} %)"
