"""The page of one backfill: its dates, a timeline of its attempts, and its pace and ETA over time."""

from __future__ import annotations

from flask import Response

from backfilld.api import serializers
from backfilld.api.daemon_protocol import DaemonService
from backfilld.api.endpoint import parse
from backfilld.api.page import pace, timeline
from backfilld.api.page.rendering import query_fields, render
from backfilld.api.routes import backfills
from backfilld.api.schemas import requests
from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.store import reporting

MAX_ATTEMPTS = 500
"""Attempts that the timeline draws, the latest of the backfill."""


def backfill(service: DaemonService, id: str) -> Response:  # noqa: A002 - the API's name for it
    """One backfill with its dates."""
    path = parse(requests.ById, {"id": id})
    query = parse(requests.BackfillDatesPage, {"limit": "200", **query_fields("cursor")})
    shown = backfills.get_backfill(service, path=path)
    page = backfills.list_backfill_dates(service, path=path, query=query)
    with service.context.db.read() as tx:
        rows = reporting.attempts_of_backfill(tx, path.id, MAX_ATTEMPTS + 1)
        attempts = serializers.attempts(tx, rows[:MAX_ATTEMPTS])
        ended = reporting.ends_of_backfill(tx, path.id)
    live = sum(n for state, n in shown.states.items() if state not in (DONE, FAILED))
    return render(
        "backfill",
        backfill=shown,
        page=page,
        timeline=timeline.draw(attempts, service.context.now()),
        earlier=len(rows) > MAX_ATTEMPTS,
        pace=pace.draw(ended, live),
    )
