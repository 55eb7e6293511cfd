"""Regular expressions of the pipeline file that no text can make slow. Pure.

Python's `re` cannot be interrupted, and holds all threads while it searches. So an expression is refused
where a repeat of repeats or of alternatives could match a text in too many ways, and the number of unbounded
repeats is limited.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]  # the parsed form has no public name
from typing import Annotated, Any

from pydantic import AfterValidator

from backfilld.state.formatting import SEARCHED_CHARACTERS

MOST_REPEATS = 3
"""Each unbounded repeat multiplies the time by the length of a line."""
_BOUNDED = 100
"""A repeat of at most this many counts as bounded."""
_MOST_WAYS = 10_000
"""In how many ways a repeat may match a text; each of them is tried where the rest does not match."""


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
    repeats = [argument for operator, argument in _parts(parsed) if operator in _REPEATS]
    if any(_times(_ways(body), most) > _MOST_WAYS for _, most, body in repeats):
        raise ValueError(
            f"{text!r} repeats what is repeated or has alternatives, which can take without end;"
            " write one repeat, such as .* or [a-z ]+"
        )
    unbounded = sum(most > _BOUNDED for _, most, _ in repeats)
    if unbounded > MOST_REPEATS:
        raise ValueError(
            f"{text!r} has {unbounded} unbounded repeats, at most {MOST_REPEATS} may be;"
            " write bounded ones, such as .{0,80}"
        )
    return text


Pattern = Annotated[str, AfterValidator(check_pattern)]
"""A regular expression that can be searched in the engine's thread."""


_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


def _ways(parsed: Any) -> int:
    """In how many ways a part of an expression can match a text; one more than `_MOST_WAYS` for all above."""
    ways = 1
    for operator, argument in parsed:
        if operator in _REPEATS:
            least, most, body = argument
            ways *= max(min(most, SEARCHED_CHARACTERS) - least, 0) + 1
            ways *= _times(_ways(body), most)
        elif operator is _constants.BRANCH:
            ways *= sum(map(_ways, argument[1]))
        elif isinstance(argument, tuple):
            ways *= math.prod(_ways(part) for part in argument if isinstance(part, _parser.SubPattern))
    return min(ways, _MOST_WAYS + 1)


def _times(ways: int, repeats: int) -> int:
    """The ways of a part that is repeated."""
    power: int = ways ** min(repeats, SEARCHED_CHARACTERS)
    return min(power, _MOST_WAYS + 1)


def _parts(parsed: Any) -> Iterator[tuple[Any, Any]]:
    """Each operator of a parsed expression with its argument, at any depth."""
    if isinstance(parsed, _parser.SubPattern):
        for operator, argument in parsed:
            yield operator, argument
            yield from _parts(argument)
    elif isinstance(parsed, list | tuple):
        for part in parsed:
            yield from _parts(part)
