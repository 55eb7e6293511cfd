"""The placeholders of commands in the pipeline file, such as `{date}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_IN_BRACES = re.compile(r"(\{\s*(\w+)\s*\})")


def refuse_unknown(command: Sequence[str], known: Sequence[str]) -> None:
    """Raises ValueError where a command names a placeholder that is not among `known`."""
    for word in PLACEHOLDER.findall(" ".join(command)):
        if word not in known:
            raise ValueError(f"unknown placeholder {{{word}}}; known are {', '.join(known)}")


def fill(command: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """The command with its placeholders replaced by `words`; those without a word stay as they are."""
    return tuple(PLACEHOLDER.sub(lambda match: words.get(match[1], match[0]), part) for part in command)


def command_problems(command: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """An empty program, and words in braces that are almost placeholders: what is wrong, and the remedy."""
    if not command[0].strip():
        yield "the first word is empty; write the program there"
    for braces, word in _IN_BRACES.findall(" ".join(command)):
        meant = word.lower()
        if meant in known and braces != f"{{{meant}}}":
            yield f"{braces} is not a placeholder; did you mean {{{meant}}}?"
