"""Suggestions for a misspelt name."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

LONGEST = 220
"""The most characters of a list of names; a longer list ends after its last whole name."""

_SIMILARITY = 0.75
"""From which ratio of `difflib` on a name is near: 'dusk' and 'dask' have it, 'retries' and 'refresh' not."""
_SHORT = 4
_SIMILARITY_OF_SHORT = 0.65
"""The same for names of up to four letters, where it is one letter of three, as in 'apy' and 'api'."""
_SHORTEST_BEGINNING = 3
"""The fewest letters of a name that is near because another one begins with it."""


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The nearest of the known names, or else all of them up to `LONGEST` characters, or that there are none.

    A `prefix` that all names share does not count for the distance.
    """
    names = list(known)
    if nearest := nearest_name(name, names, prefix=prefix):
        return f"did you mean '{nearest}'?"
    if not names:
        return "there are none"
    return f"known are {textwrap.shorten(', '.join(names), LONGEST, placeholder=' ...')}"


def nearest_name(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The nearest of the known names, as `did_you_mean` finds it.

    Empty where none is near, and where the name is known: it is not misspelt then.
    """
    names = {candidate.removeprefix(prefix): candidate for candidate in known}
    written = name.removeprefix(prefix)
    if written in names:
        return ""
    cutoff = _SIMILARITY if len(written) > _SHORT else _SIMILARITY_OF_SHORT
    nearest = difflib.get_close_matches(written, names, n=1, cutoff=cutoff)
    nearest = nearest or difflib.get_close_matches(written, _same_beginning(written, names), n=1, cutoff=0.0)
    return names[nearest[0]] if nearest else ""


def _same_beginning(written: str, names: Iterable[str]) -> list[str]:
    """The names that begin with what was written, or that it begins with."""
    pairs = ((name, *sorted((name, written), key=len)) for name in names)
    return [n for n, short, long in pairs if len(short) >= _SHORTEST_BEGINNING and long.startswith(short)]
