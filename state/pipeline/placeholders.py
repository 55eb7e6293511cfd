"""The placeholders of commands in the pipeline file, such as `{date}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_IN_BRACES = re.compile(r"(\{\s*(\w+)\s*\})")
_TEMPLATE = re.compile(r"\{\{\s*[A-Za-z_][^{}]*\}\}|\{%.*?%\}", re.DOTALL)
"""A Jinja template, as Airflow and dbt render them."""
_WITH_FORMAT = re.compile(r"(\{\s*(\w+)\s*(?::[^\s{}]|[!.|+\-\[(])[^{}]*\})")
"""A name in braces with a format, an attribute or a sum, such as `{date:%Y%m%d}` or `{date - 1}`."""

OF_DATES = ("date", "dates", "start", "end", "dates_file")
"""The placeholders that hand a command its dates."""
_DATE = "date"
_DATES_ELSEWHERE = ("ds", "run_date", "logical_date", "execution_date", "data_interval_start")
"""What other schedulers call the date of a run."""


def refuse_unknown(command: Sequence[str], known: Sequence[str]) -> None:
    """Raises ValueError where a command has a template, or a placeholder that is not among `known`."""
    text = " ".join(command)
    if template := _TEMPLATE.search(text):
        raise ValueError(f"{template[0]} is a template, and no template is rendered; {_remedy(known)}")
    for word in PLACEHOLDER.findall(text):
        if word not in known:
            meant = _meant(word, known)
            hint = f"write {{{meant}}}" if meant else f"known are {', '.join(known)}"
            raise ValueError(f"unknown placeholder {{{word}}}; {hint}")


def fill(command: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """The command with its placeholders replaced by `words`; those without a word stay as they are."""
    return tuple(PLACEHOLDER.sub(lambda match: words.get(match[1], match[0]), part) for part in command)


def command_problems(command: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    """What is wrong, and the remedy, of a program, and of words in braces that are almost placeholders."""
    program = command[0].strip() if command else "none"
    if not program:
        yield "the first word is empty; write the program there"
    elif re.search(r"\s", program) and PLACEHOLDER.search(program):
        words = ", ".join(f'"{word}"' for word in program.split())
        yield f"the first word is not a program; write each argument as a word: {words}"
    text = " ".join(command)
    for written, word in _IN_BRACES.findall(text):
        meant = _meant(word, known)
        if meant and written != f"{{{meant}}}":
            yield f"{written} is not a placeholder; did you mean {{{meant}}}?"
    for written, word in _WITH_FORMAT.findall(text):
        if meant := _meant(word, known):
            yield f"{written} is not a placeholder, which has a name alone; write {{{meant}}}{_form(meant)}"


def _meant(word: str, known: Sequence[str]) -> str:
    """The placeholder that a word in braces is meant to be; empty where it may well be none."""
    word = word.lower()
    meant = _DATE if word in _DATES_ELSEWHERE else word
    return meant if meant in known else ""


def _form(placeholder: str) -> str:
    return ", such as 2024-03-01" if placeholder in (_DATE, "start", "end") else ""


def _remedy(known: Sequence[str]) -> str:
    """What to write in place of a template."""
    names = ", ".join(f"{{{name}}}" for name in known)
    return (
        f"write {{{_DATE}}}{_form(_DATE)}, or another of {names}" if _DATE in known else f"known are {names}"
    )
