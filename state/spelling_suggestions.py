"""Suggestions for a misspelt name."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

LONGEST = 220
"""The most characters of a list of names; a longer list ends after its last whole name."""


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
    """The nearest of the known names, as `did_you_mean` finds it; empty where none is near."""
    names = {candidate.removeprefix(prefix): candidate for candidate in known}
    nearest = difflib.get_close_matches(name.removeprefix(prefix), names, n=1)
    return names[nearest[0]] if nearest else ""
