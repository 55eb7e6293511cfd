"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

LONGEST = 220
"""Characters of a list of names; a longer one ends after its last whole name."""


def hint(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names, else all of them or as many as a sentence bears."""
    names = list(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    if nearest:
        return f"did you mean '{nearest[0]}'?"
    return f"known are {textwrap.shorten(', '.join(names), LONGEST, placeholder=' ...')}"
