"""Suggestions for a misspelt name."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

LONGEST = 220
"""The most characters of a list of names; a longer list ends after its last whole name."""


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The nearest of the known names, or else the known names, up to `LONGEST` characters.

    A `prefix` that all names share does not count for the distance.
    """
    names = {candidate.removeprefix(prefix): candidate for candidate in known}
    nearest = difflib.get_close_matches(name.removeprefix(prefix), names, n=1)
    if nearest:
        return f"did you mean '{names[nearest[0]]}'?"
    return f"known are {textwrap.shorten(', '.join(names.values()), LONGEST, placeholder=' ...')}"
