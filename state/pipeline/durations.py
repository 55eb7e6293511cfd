"""Durations as the pipeline file and the settings state them, such as `30m`."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: object) -> object:
    """`"90s"`, `"30m"`, `"4h"` or `"2d"` in seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a duration; write it like "90s", "30m" or "4h"')
    return float(match[1]) * _UNITS[match[2]]
