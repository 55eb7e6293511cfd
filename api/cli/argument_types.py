"""Argument types of several verbs. A shell completes them with values from the daemon."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from backfilld.state.pipeline.durations import parse_duration

if TYPE_CHECKING:
    from backfilld.api.cli.client import Client, Json

COMPLETION_SECONDS = 2.0
"""How long a shell waits for the daemon's answer."""
MAX_COMPLETIONS = 100
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _plain_date(text: str) -> str:
    """The date, if it is written as the API takes it. Python also reads 20211019 and 2021-W42-2.

    Raises:
        ValueError: it is written in another way, or does not exist.
    """
    if dt.date.fromisoformat(text).isoformat() != text:
        raise ValueError(text)
    return text


def begins_like_date(word: str) -> bool:
    """Whether a word stands for a date: names of processors do not begin with a digit."""
    return word[:1].isdecimal()


class DateArgument(click.ParamType[str]):
    """A plain date."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The date as the API takes it."""
        try:
            return _plain_date(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date; write it like 2021-10-19", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The dates that were ever enqueued."""
        return _matching(incomplete, _query(ctx, _dates))


class BackfillArgument(click.ParamType[int]):
    """The number of a backfill."""

    name = "backfill"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        if not str(value).isdecimal():
            self.fail(f"{value!r} is not the number of a backfill; `backfilld status` lists them", param, ctx)
        return int(str(value))

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The latest backfills, each with its status and range."""
        return _matching(incomplete, _query(ctx, _backfills))


class DurationArgument(click.ParamType[float]):
    """A duration, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        try:
            return float(str(parse_duration(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class ProcessorArgument(click.types.StringParamType):
    """The name of a processor."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The processors of the daemon's pipeline, each with its phase."""
        return _matching(incomplete, _query(ctx, _processors))


class DateOrProcessor(DateArgument):
    """A plain date, or the name of a processor."""

    name = "date or processor"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The date as the API takes it, or the name."""
        text = str(value)
        return super().convert(text, param, ctx) if begins_like_date(text) else text

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The dates that were ever enqueued, and the processors."""
        return _matching(incomplete, [*_query(ctx, _processors), *_query(ctx, _dates)])


class DateOrNumber(click.ParamType[str | int]):
    """A plain date, or the number of a backfill or attempt."""

    name = "date or number"

    def __init__(self, of: str, numbers: Callable[[Client], Iterable[CompletionItem]]) -> None:
        """`of` names what has the number, with its article; `numbers` completes it."""
        self._of = of
        self._numbers = numbers

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """The date as the API takes it, or the number."""
        text = str(value)
        try:
            return int(text) if text.isdecimal() else _plain_date(text)
        except ValueError:
            self.fail(f"{text!r} is neither a date like 2021-10-19 nor the number of {self._of}", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The latest numbers, and the dates that were ever enqueued."""
        return _matching(incomplete, [*_query(ctx, self._numbers), *_query(ctx, _dates)])


def _query(ctx: click.Context, items: Callable[[Client], Iterable[CompletionItem]]) -> list[CompletionItem]:
    """Completions from the daemon; none if it does not answer, since a shell cannot show an error."""
    from backfilld.api.cli.client import ApiError, Client  # noqa: PLC0415  reports have no client

    try:
        return list(items(Client(ctx.params.get("url"), timeout=COMPLETION_SECONDS)))
    except ApiError:
        return []


def _matching(incomplete: str, items: Iterable[CompletionItem]) -> list[CompletionItem]:
    return [item for item in items if item.value.startswith(incomplete)][:MAX_COMPLETIONS]


def _dates(client: Client) -> Iterable[CompletionItem]:
    for group in client.get("/v1/calendar")["groups"]:
        for first, last in group["spans"]:
            days = range(
                dt.date.fromisoformat(first).toordinal(), dt.date.fromisoformat(last).toordinal() + 1
            )
            for day in days:
                yield CompletionItem(str(dt.date.fromordinal(day)), help=group["outcome"] or group["state"])


def _backfills(client: Client) -> Iterable[CompletionItem]:
    for row in client.get("/v1/backfills", limit=MAX_COMPLETIONS)["items"]:
        yield CompletionItem(str(row["id"]), help=f"{row['status']} {row['start']}..{row['end']}")


def _attempts(client: Client) -> Iterable[CompletionItem]:
    for row in client.get("/v1/attempts", limit=20)["items"]:
        yield CompletionItem(str(row["id"]), help=f"{row['status']} {row['processor']} {attempt_dates(row)}")


def _processors(client: Client) -> Iterable[CompletionItem]:
    for phase in client.get("/v1/pipeline")["phases"]:
        for name in phase["processors"]:
            yield CompletionItem(name, help=phase["phase"])


def attempt_dates(attempt: Json) -> str:
    """The dates of an attempt: a date, or a range such as 2021-10-19..2021-10-25."""
    dates = attempt["dates"]
    return str(dates[0]) if len(dates) == 1 else f"{dates[0]}..{dates[-1]}"


def terms_option(name: str, metavar: str, text: str) -> Callable[[_Command], _Command]:
    """An option with terms separated by commas, which may be repeated."""

    def split(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[str]:
        terms = [text.replace(",", " ").split() for text in texts]
        if [] in terms:  # such as an unset variable of a script: without the option, more would be changed
            raise click.BadParameter("is empty; fill it in or leave the option out", context, option)
        return [term for of_one in terms for term in of_one]

    return click.option(name, multiple=True, metavar=metavar, callback=split, help=text)


DATE = DateArgument()
DURATION = DurationArgument()
BACKFILL = BackfillArgument()
PROCESSOR = ProcessorArgument()
DATE_OR_PROCESSOR = DateOrProcessor()
DATE_OR_BACKFILL = DateOrNumber("a backfill", _backfills)
DATE_OR_ATTEMPT = DateOrNumber("an attempt", _attempts)
