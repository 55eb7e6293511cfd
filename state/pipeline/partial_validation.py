"""What can still be checked of a pipeline file with mistakes of shape: the file without the tables at fault.

The mistakes that only appear because something was left out are not reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.semantic_validation import Location, key_path, lookup, validate

_ROUNDS = 10
"""How often something is left out: a key, then the table that needs it, and so on."""
_LEFT_OUT = object()


def remaining_problems(
    tables: dict[str, Any], error: ValidationError, parse: Callable[[dict[str, Any]], Pipeline]
) -> Iterator[str]:
    """The mistakes that `validate` finds in a file without what is at fault by `error`.

    `parse` makes a pipeline of the tables, or raises ValidationError.
    """
    left_out: list[Location] = []
    original = tables
    for _ in range(_ROUNDS):
        places = [_place(tables, details) for details in error.errors()]
        if () in places:
            return
        left_out += places
        tables = _without(tables, places)
        try:
            pipeline = parse(tables)
        except ValidationError as remaining:
            error = remaining
        else:
            follows = [_Consequence(loc, original) for loc in left_out]
            yield from (line for line in validate(pipeline) if not any(one.explains(line) for one in follows))
            return


class _Consequence:
    """Recognizes mistakes that appear because a place of the file was left out."""

    def __init__(self, loc: Location, data: dict[str, Any]) -> None:
        self._key = key_path(loc, data)
        self._table = key_path(loc[:-1], data) if loc[0] == "phase" else ""
        words = [str(loc[-1])]
        if isinstance(loc[-1], int):  # the item of a list: by its name, or by the header of all of them
            header = ".".join(part for part in loc if isinstance(part, str))
            words = [str(lookup(data, (*loc, "name"))), f"[[{header}]]"]
            self._table = ""
        self._word = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words))

    def explains(self, problem: str) -> bool:
        """Whether a mistake is about the place, or names it."""
        key = problem.partition(": ")[0]
        return key.startswith(self._key) or (
            key.startswith(self._table) and self._word.search(problem) is not None
        )


def _place(tables: dict[str, Any], details: ErrorDetails) -> Location:
    """The deepest key or item of the file at an error; `()` where it is the whole file."""
    found = details["loc"]
    if _replacement(found) is not None:
        return found[:5]
    loc: Location = ()
    for part in found:
        if lookup(tables, (*loc, part)) is None:
            break
        loc = (*loc, part)
    unknown = (details.get("ctx") or {}).get("key") if details["type"] == "unknown_key" else None
    return loc if unknown is None else (*loc, unknown)


def _replacement(loc: Location) -> Any:
    """What takes the place of a key that each processor needs, so that the processor stays; else None."""
    if loc[:1] != ("phase",) or loc[2:3] != ("processor",):
        return None
    if loc[4:5] == ("command",):
        return ["true"]
    return f"left_out.table_{loc[1]}_{loc[3]}" if loc[4:5] == ("table",) else None


def _without(value: Any, places: Sequence[Location], at: Location = ()) -> Any:
    """A copy of tables and lists without the values at some places, or with what takes their place."""
    if at in places:
        return _LEFT_OUT if _replacement(at) is None else _replacement(at)
    if not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        items = [_without(item, places, (*at, number)) for number, item in enumerate(value)]
        return [item for item in items if item is not _LEFT_OUT]
    added = [loc[-1] for loc in places if loc[:-1] == at and loc[-1] not in value]
    changed = {key: _without(value.get(key), places, (*at, key)) for key in (*value, *added)}
    return {key: item for key, item in changed.items() if item is not _LEFT_OUT}
