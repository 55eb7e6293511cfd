"""Following until the end: a screen on a terminal, plain lines elsewhere, each failure once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Protocol, Self

import click
from rich.live import Live
from rich.text import Text

from backfilld.api.cli import dashboard, logfmt
from backfilld.api.cli.client import ApiError, Client
from backfilld.api.cli.output import animated, console
from backfilld.api.cli.snapshot import Failure, Failures, Snapshot, take_snapshot

POLL_SECONDS = 0.5
LINE_SECONDS = 10.0
"""Between two lots of plain lines about how far it is; failures and holds are told at once."""
AWAY_SECONDS = 2.0
"""Between two tries to reach a daemon that answers no more."""
INTERRUPTED = 130
"""The exit code after Ctrl-C."""


class Display(Protocol):
    """Where what is followed is shown."""

    def failed(self, failure: Failure, view: Snapshot) -> None:
        """Tell a failure."""

    def show(self, view: Snapshot, *, last: bool) -> None:
        """Show how it stands; for the last time, whole."""

    def away(self, error: ApiError) -> None:
        """Tell that the daemon does not answer."""


def follow(
    client: Client, failures: Failures, display: Display, *, backfill: int | None = None, to_end: bool = True
) -> Snapshot:
    """Show a backfill, or everything, until it has ended, and return it as it stands then.

    A daemon that is restarted meanwhile is waited for.

    Raises:
        ApiError: the daemon refused.
    """
    while True:
        try:
            view = take_snapshot(client, backfill)
            for failure in failures.fresh(view.progress):
                display.failed(failure, view)
        except ApiError as error:
            if error.status is not None and error.status < 500 and error.status != 429:
                raise
            display.away(error)
            time.sleep(AWAY_SECONDS)
            continue
        last = to_end and view.ended
        display.show(view, last=last)
        if last:
            return view
        time.sleep(POLL_SECONDS)


def display(*, as_json: bool = False, quiet: bool = False) -> AbstractContextManager[Display]:
    """What fits where the output goes."""
    if quiet:
        return nullcontext(Silent())
    if as_json:
        return nullcontext(JsonLines())
    return Screen() if animated() else nullcontext(Lines())


@contextmanager
def on_interrupt(words: str) -> Iterator[None]:
    """On Ctrl-C, say what goes on without us."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{words}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


class Screen:
    """A picture that stays in its place; failures scroll by above it."""

    def __init__(self) -> None:
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def failed(self, failure: Failure, view: Snapshot) -> None:
        """Above the picture."""
        console.print(dashboard.failure_lines(failure, view.at), soft_wrap=False)

    def show(self, view: Snapshot, *, last: bool) -> None:
        """In the place of the picture before."""
        self._live.update(dashboard.picture(view, console), refresh=True)

    def away(self, error: ApiError) -> None:
        """In the place of the picture, until the daemon is there again."""
        self._live.update(Text(f"{error}; trying again", style="red"), refresh=True)


class Lines:
    """A line per fact that has changed."""

    def __init__(self, tell: Callable[[str], None] = click.echo) -> None:
        self._tell = tell
        self._told: dict[tuple[str, ...], str] = {}
        self._told_at = float("-inf")
        self._here = True

    def failed(self, failure: Failure, view: Snapshot) -> None:
        """At once."""
        self._tell(logfmt.failed(failure).line(view.at))

    def show(self, view: Snapshot, *, last: bool) -> None:
        """Holds at once; how far it is from time to time, and at the end."""
        self._here = True
        self._changed(view, logfmt.held(view))
        if last or time.monotonic() - self._told_at >= LINE_SECONDS:
            self._changed(view, logfmt.summary(view))
            self._told_at = time.monotonic()

    def away(self, error: ApiError) -> None:
        """Once."""
        if self._here:
            click.echo(f"{error}; trying again", err=True)
        self._here = False

    def _changed(self, view: Snapshot, found: Iterator[logfmt.Fact]) -> None:
        for fact in found:
            stamp, _, words = fact.line(view.at).partition(" ")
            if self._told.get(fact.name) != words:
                self._tell(f"{stamp} {words}")
                self._told[fact.name] = words


class JsonLines:
    """A JSON document on a line of its own, from time to time and at the end."""

    def __init__(self) -> None:
        self._told_at = float("-inf")

    def failed(self, failure: Failure, view: Snapshot) -> None:
        """Nothing: the counts tell it."""

    def show(self, view: Snapshot, *, last: bool) -> None:
        """Everything that there is to tell."""
        if last or time.monotonic() - self._told_at >= LINE_SECONDS:
            click.echo(json.dumps(view.told, ensure_ascii=False))
            self._told_at = time.monotonic()

    def away(self, error: ApiError) -> None:
        """Where it disturbs no reader of JSON."""
        click.echo(f"{error}; trying again", err=True)


class Silent:
    """Nothing until the end."""

    def failed(self, failure: Failure, view: Snapshot) -> None:
        """Not told."""

    def show(self, view: Snapshot, *, last: bool) -> None:
        """Not told."""

    def away(self, error: ApiError) -> None:
        """Not told: it is waited for."""
