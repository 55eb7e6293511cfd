"""What a shell offers for a word: fixed words, or names that the daemon knows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from backfilld.api.formatting import attempt_dates

if TYPE_CHECKING:
    from backfilld.api.cli.client import Client

COMPLETION_SECONDS = 2.0
"""How long a shell waits for the daemon's answer."""
MAX_COMPLETIONS = 100
Items = Callable[["Client"], Iterable[CompletionItem]]
"""Reads completions from the daemon."""


def query(ctx: click.Context, items: Items) -> list[CompletionItem]:
    """Completions from the daemon; none if it does not answer, since a shell cannot show an error."""
    from backfilld.api.cli.client import ApiError, Client  # noqa: PLC0415  reports have no client

    try:
        return list(items(Client(ctx.params.get("url"), timeout=COMPLETION_SECONDS)))
    except ApiError:
        return []


def matching(incomplete: str, items: Iterable[CompletionItem]) -> list[CompletionItem]:
    """Those that begin with a word."""
    return [item for item in items if item.value.startswith(incomplete)][:MAX_COMPLETIONS]


def dates(client: Client) -> Iterable[CompletionItem]:
    """The dates that were ever enqueued."""
    for group in client.get("/v1/calendar")["groups"]:
        for first, last in group["spans"]:
            days = range(
                dt.date.fromisoformat(first).toordinal(), dt.date.fromisoformat(last).toordinal() + 1
            )
            for day in days:
                yield CompletionItem(str(dt.date.fromordinal(day)), help=group["outcome"] or group["state"])


def backfills(client: Client) -> Iterable[CompletionItem]:
    """The latest backfills, each with its status and range."""
    for row in client.get("/v1/backfills", limit=MAX_COMPLETIONS)["items"]:
        yield CompletionItem(str(row["id"]), help=f"{row['status']} {row['start']}..{row['end']}")


def attempts(client: Client) -> Iterable[CompletionItem]:
    """The latest attempts."""
    for row in client.get("/v1/attempts", limit=20)["items"]:
        yield CompletionItem(str(row["id"]), help=f"{row['status']} {row['processor']} {attempt_dates(row)}")


def processors(client: Client) -> Iterable[CompletionItem]:
    """The processors of the daemon's pipeline, each with its phase."""
    for phase in client.get("/v1/pipeline")["phases"]:
        for name in phase["processors"]:
            yield CompletionItem(name, help=phase["phase"])


def terms(client: Client) -> Iterable[CompletionItem]:
    """The terms of a selection: processors and phases, and each with what is upstream."""
    phases = client.get("/v1/pipeline")["phases"]
    named = [(name, phase["phase"]) for phase in phases for name in phase["processors"]]
    named += [(f"phase:{phase['phase']}", "phase") for phase in phases]
    for name, about in named:
        yield CompletionItem(name, help=about)
    for name, about in named:
        yield CompletionItem(f"+{name}", help=f"{about}, with everything upstream")


def tables(client: Client) -> Iterable[CompletionItem]:
    """The output tables of the daemon's pipeline."""
    yield from map(CompletionItem, client.get("/v1/pipeline")["tables"])


def states(client: Client) -> Iterable[CompletionItem]:
    """The states of a date."""
    yield from map(CompletionItem, client.get("/v1/pipeline")["states"])


def seasons(client: Client) -> Iterable[CompletionItem]:
    """The seasons that have dates."""
    for row in client.get("/v1/progress")["seasons"]:
        yield CompletionItem(row["season"], help=f"{row['done']} of {row['total']} dates done")


def held(kind: str) -> Items:
    """The keys of the holds of a kind that an operator can release."""

    def keys(client: Client) -> Iterable[CompletionItem]:
        for hold in client.get("/v1/holds")["items"]:
            if hold["kind"] == kind and not hold["derived"]:
                yield CompletionItem(hold["key"], help=hold["text"])

    return keys


def words(*values: str) -> Items:
    """Fixed words, which need no daemon."""
    return lambda client: map(CompletionItem, values)


class Completed(click.types.StringParamType):
    """A text that a shell completes; with `listed`, the last one of several with commas between them."""

    def __init__(self, items: Items, *, listed: bool = False) -> None:
        self._items = items
        self._listed = listed

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The words, behind those that are complete."""
        before, comma, last = incomplete.rpartition(",") if self._listed else ("", "", incomplete)
        found = matching(last, query(ctx, self._items))
        return [CompletionItem(f"{before}{comma}{item.value}", help=item.help) for item in found]


class HoldKey(click.types.StringParamType):
    """The key of a hold, after its kind; `releases`: of one that is there."""

    def __init__(self, *, releases: bool) -> None:
        self._releases = releases

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that the kind has."""
        kind = str(ctx.params.get("kind"))
        names = {"processor": processors, "table": tables}.get(kind, words())
        return matching(incomplete, query(ctx, held(kind) if self._releases else names))
