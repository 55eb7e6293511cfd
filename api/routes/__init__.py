"""The API routes by section. A view calls the daemon and returns a model; `api.problems` handles errors."""

from __future__ import annotations

from backfilld.api.endpoint_definition import Router
from backfilld.api.routes import (
    attempts,
    audit,
    auth,
    backfills,
    dates,
    grid,
    holds,
    probes,
    progress,
    reports,
)

SECTIONS: tuple[Router, ...] = (
    backfills.section,
    dates.section,
    grid.section,
    attempts.section,
    holds.section,
    reports.section,
    auth.section,
    audit.section,
    progress.section,
    probes.section,
)
