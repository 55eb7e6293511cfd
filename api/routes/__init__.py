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
    plan_and_data_quality,
    probes,
    progress_activity_and_pipeline,
)

SECTIONS: tuple[Router, ...] = (
    backfills.section,
    dates.section,
    grid.section,
    attempts.section,
    holds.section,
    plan_and_data_quality.section,
    auth.section,
    audit.section,
    progress_activity_and_pipeline.section,
    probes.section,
)
