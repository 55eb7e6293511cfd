"""Argument types of several verbs. A shell completes them with values from the daemon."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from backfilld.api.cli import completions
from backfilld.api.cli.completions import matching, query
from backfilld.state.pipeline.durations import parse_duration

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
        return matching(incomplete, query(ctx, completions.dates))


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
        return matching(incomplete, query(ctx, completions.backfills))


class DurationArgument(click.ParamType[float]):
    """A duration, in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        try:
            return float(str(parse_duration(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


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
        return matching(incomplete, [*query(ctx, completions.processors), *query(ctx, completions.dates)])


class DateOrNumber(click.ParamType[str | int]):
    """A plain date, or the number of a backfill or attempt."""

    name = "date or number"

    def __init__(self, of: str, numbers: completions.Items) -> None:
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
        return matching(incomplete, [*query(ctx, self._numbers), *query(ctx, completions.dates)])


def terms_option(
    name: str, metavar: str, text: str, items: completions.Items
) -> Callable[[_Command], _Command]:
    """An option with terms separated by commas, which may be repeated. A shell completes `items`."""

    def split(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> list[str]:
        terms = [text.replace(",", " ").split() for text in texts]
        if [] in terms:  # such as an unset variable of a script: without the option, more would be changed
            raise click.BadParameter("is empty; fill it in or leave the option out", context, option)
        return [term for of_one in terms for term in of_one]

    type_ = completions.Completed(items, listed=True)
    return click.option(name, multiple=True, metavar=metavar, type=type_, callback=split, help=text)


DATE = DateArgument()
DURATION = DurationArgument()
BACKFILL = BackfillArgument()
PROCESSOR = completions.Completed(completions.processors)
DATE_OR_PROCESSOR = DateOrProcessor()
DATE_OR_BACKFILL = DateOrNumber("a backfill", completions.backfills)
DATE_OR_ATTEMPT = DateOrNumber("an attempt", completions.attempts)
