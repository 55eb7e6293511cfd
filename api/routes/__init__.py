"""The views, in sections: each asks the daemon and answers, and leaves every error to `api.problems`."""

from __future__ import annotations

from collections.abc import Sequence

from api.endpoint import Section
from api.routes import access, attempts, backfills, dates, ops, reports, steering

SECTIONS: Sequence[Section] = (
    backfills.section,
    dates.section,
    attempts.section,
    steering.section,
    reports.section,
    access.section,
    ops.section,
)
