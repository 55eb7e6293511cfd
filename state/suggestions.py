"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable

LONGEST = 220
"""Characters of a list of names; a longer one ends after its last whole name."""


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The nearest of the known names, else all of them or as many as a sentence bears.

    A `prefix` that all of them have brings none nearer.
    """
    names = {one.removeprefix(prefix): one for one in known}
    nearest = difflib.get_close_matches(name.removeprefix(prefix), names, n=1)
    if nearest:
        return f"did you mean '{names[nearest[0]]}'?"
    return f"known are {textwrap.shorten(', '.join(names.values()), LONGEST, placeholder=' ...')}"
