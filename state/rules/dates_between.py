"""The dates of a range. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator


def dates_between(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """Every date from `first` to `last`, both included; none where `last` is earlier."""
    return map(dt.date.fromordinal, range(first.toordinal(), last.toordinal() + 1))
