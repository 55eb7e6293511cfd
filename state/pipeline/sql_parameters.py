"""The parameters that SQL of the pipeline file names, such as `@date`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | --[^\n]* | /\*.*?\*/ | (?<!@)@(?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE | re.DOTALL,
)
"""A parameter outside of texts, quoted names and comments."""


def parameter_names(text: str) -> list[str]:
    """The names after an `@`, each once, in their order."""
    names = (match["name"] for match in _TOKEN.finditer(text))
    return list(dict.fromkeys(name for name in names if name))


def replace_parameters(text: str, change: Callable[[str], str]) -> str:
    """The text with what `change` gives in place of each `@name`."""
    return _TOKEN.sub(lambda match: change(match["name"]) if match["name"] else match[0], text)
