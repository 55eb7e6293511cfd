"""What a report knows beside calendar and warehouse: what a daemon has recorded. Empty without a daemon."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from backfilld.daemon.reports.current_verdicts import Known
from backfilld.daemon.reports.plan.models import Recompute


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownState:
    """What is recorded about a range of dates."""

    checks: Known = field(default_factory=dict)
    """The attempts and accepted gaps."""
    typical_seconds: Mapping[str, float | None] = field(default_factory=dict)
    """By processor: the usual seconds per date; None while no attempt has succeeded."""
    done: Collection[dt.date] = ()
    failed: Collection[dt.date] = ()
    stale: Sequence[Recompute] = ()
    """The dates that were computed before an earlier date changed."""
