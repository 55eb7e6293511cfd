"""Regular expressions of the pipeline file that no text can make slow. Pure.

Python's `re` cannot be interrupted, and holds all threads while it searches. So the expressions that take
exponential time on some text are refused, and the number of unbounded repeats is limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # the parsed form has no public name
from typing import Annotated, Any

from pydantic import AfterValidator

MOST_REPEATS = 3
"""Each unbounded repeat multiplies the time by the length of a line."""
_BOUNDED = 100
"""A repeat of at most this many counts as bounded."""


def check_pattern(text: str) -> str:
    """The text as it is.

    Raises:
        ValueError: it is no regular expression, or a text can make it slow.
    """
    try:
        re.compile(text)
        parsed = _parser.parse(text)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}; correct it") from None
    repeated = list(_repeated(parsed))
    if any(True for body in repeated for _ in (*_repeated(body), *_alternatives(body))):
        raise ValueError(
            f"{text!r} repeats what is repeated or has alternatives, which can take without end;"
            " write one repeat, such as .* or [a-z ]+"
        )
    if len(repeated) > MOST_REPEATS:
        raise ValueError(
            f"{text!r} has {len(repeated)} unbounded repeats, at most {MOST_REPEATS} may be;"
            " write bounded ones, such as .{0,80}"
        )
    return text


Pattern = Annotated[str, AfterValidator(check_pattern)]
"""A regular expression that can be searched in the engine's thread."""


def _repeated(parsed: Any) -> Iterator[Any]:
    """What is repeated without a bound, at any depth."""
    for operator, argument in _parts(parsed):
        if operator in _REPEATS and argument[1] > _BOUNDED:
            yield argument[2]


def _alternatives(parsed: Any) -> Iterator[Any]:
    return (argument for operator, argument in _parts(parsed) if operator is _constants.BRANCH)


_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


def _parts(parsed: Any) -> Iterator[tuple[Any, Any]]:
    """Each operator of a parsed expression with its argument, at any depth."""
    if isinstance(parsed, _parser.SubPattern):
        for operator, argument in parsed:
            yield operator, argument
            yield from _parts(argument)
    elif isinstance(parsed, list | tuple):
        for part in parsed:
            yield from _parts(part)
