"""The views, by section: each calls the daemon and answers, and leaves every error to `api.problems`."""

from __future__ import annotations

from collections.abc import Sequence

from backfilld.api.endpoint import Router
from backfilld.api.routes import attempts, auth, backfills, dates, holds, reports, status

SECTIONS: Sequence[Router] = (
    backfills.section,
    dates.section,
    attempts.section,
    holds.section,
    reports.section,
    auth.section,
    status.section,
)
