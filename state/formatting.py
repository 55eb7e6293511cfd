"""Times, counts and foreign texts, formatted for messages."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

_LINE = 200
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
"""Colours, cursor movements and titles (ECMA-48: CSI and OSC)."""
_RANGES = 4
"""How many ranges of dates a sentence names before it counts the rest."""


def format_utc(at: float) -> str:
    """Epoch seconds as a UTC timestamp, to the second: `2021-10-19T12:00:00Z`."""
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_duration(seconds: float | None) -> str:
    """A duration: `42 s`, `3 min 10 s`, `2 h 5 min`, or `unknown` for None."""
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def pluralize(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 date`, `3 dates`. `plural` is for more than a noun: `3 dates have`."""
    return f"{n} {noun}" if n == 1 else f"{n} {plural or f'{noun}s'}"


def format_counts(counts: Mapping[str, int]) -> str:
    """A date's counts by their names: `5 games, 1 store`; empty without any."""
    return ", ".join(f"{n} {_singular(name) if n == 1 else name}" for name, n in counts.items())


def _singular(name: str) -> str:
    return name.removesuffix("s") if not name.endswith("ss") else name


def join_truncated(words: Sequence[str], most: int = 3, between: str = ", ") -> str:
    """The first `most` words, and how many more there are: `a, b and 3 more`."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return between.join(words[:most]) + more


def strip_unstorable(text: str) -> str:
    """A foreign text without what databases refuse: NUL characters and unpaired surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def first_line(message: str) -> str:
    """The first line of a foreign error message; later lines repeat the query or the address."""
    lines = [line.strip() for line in strip_unstorable(message).splitlines() if line.strip()]
    return lines[0][:300] if lines else "no message"


def last_line(output: str) -> str:
    """The last line of a job's output that has text: at most 200 characters, without control characters."""
    lines = [line for line in output.splitlines() if line.strip()]
    return strip_control(lines[-1]).strip()[:_LINE] if lines else ""


SEARCHED_CHARACTERS = 400
"""Of each line: the time of a search grows with a power of its length."""


def matching_line(output: str, pattern: str) -> str:
    """The last line of a job's output that a regular expression matches; empty where none does."""
    lines = (line[:SEARCHED_CHARACTERS] for line in reversed(output.splitlines()))
    return last_line(next((line for line in lines if re.search(pattern, line)), ""))


def shown_line(output: str, pattern: str | None, *, failed: bool) -> str:
    """The last line of a job's output; of one that failed, the last one that `pattern` matches, if any."""
    return (matching_line(output, pattern) if pattern and failed else "") or last_line(output)


def strip_control(text: str) -> str:
    """A foreign text with escape sequences of terminals removed, and a blank for each control character."""
    plain = _ESCAPES.sub("", strip_unstorable(text))
    return "".join(" " if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"} else c for c in plain)


def format_date_ranges(dates: Iterable[dt.date]) -> str:
    """Dates as ranges: `2021-10-15..2021-10-18, 2021-11-25`, the first four of them."""
    ranges: list[list[dt.date]] = []
    for date in sorted(dates):
        if ranges and (date - ranges[-1][-1]).days == 1:
            ranges[-1].append(date)
        else:
            ranges.append([date])
    named = [str(r[0]) if len(r) == 1 else f"{r[0]}..{r[-1]}" for r in ranges[:_RANGES]]
    left = sum(map(len, ranges[_RANGES:]))
    return ", ".join(named) + (f" and {left} more" if left else "")
