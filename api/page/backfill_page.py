"""The page of one backfill: its dates, a timeline of its attempts, and its pace and ETA over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Response, request

from backfilld.api import serializers
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import parse
from backfilld.api.page import attempt_timeline, pace_chart
from backfilld.api.page.template_responses import query_fields, render, render_part
from backfilld.api.routes import backfills
from backfilld.api.schemas import list_query_parameters, request_parameters, responses
from backfilld.state.formatting import join_truncated
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import attempt_lists, pace_and_calendar_queries
from backfilld.state.store.backfill_or_season_scope import DateScope

MAX_ATTEMPTS = 500
"""Attempts that the timeline draws, the latest of the backfill."""
MAX_JOBS = 20_000
"""Attempts whose times the pace is computed from, the latest of the backfill."""
NAMED = 5
"""How many dates a dialog names before it counts the rest."""
REDRAWN_EVERY = 10.0
"""Seconds for which the charts of a live backfill stay as they are: drawing them costs more than the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charts:
    """The charts of a backfill. `earlier`: it has attempts that the timeline does not draw."""

    timeline: Sequence[attempt_timeline.Cluster]
    earlier: bool
    pace: Sequence[pace_chart.PaceChart]


def backfill(service: DaemonService, id: str) -> Response:  # noqa: A002 - the API's name for it
    """One backfill with its dates. The charts are a part of their own, drawn only when they change."""
    path = parse(request_parameters.ById, {"id": id})
    shown = backfills.get_backfill(service, path=path)
    part = request.args.get("part")
    if part == "charts":
        version = _version(service, shown)
        return render_part("backfill_charts", version, lambda: {"charts": _charts(service, shown)})
    query = parse(list_query_parameters.BackfillDatesPage, {"limit": "200", **query_fields("cursor")})
    return render(
        "backfill",
        backfill=shown,
        withdrawal=_withdrawal(service, path.id),
        page=backfills.list_backfill_dates(service, path=path, query=query),
        charts=None if part else _charts(service, shown),
    )


def _withdrawal(service: DaemonService, number: int) -> str:
    """The waivers that a retry of the backfill withdraws, as the end of a dialog's text; empty for none."""
    withdrawals = backfills.withdrawn_by_retry(service, number)
    return f" Waivers: {join_truncated(withdrawals, NAMED, '; ')}." if withdrawals else ""


def _version(service: DaemonService, shown: responses.Backfill) -> str:
    """A word that differs whenever the charts do, and every `REDRAWN_EVERY` seconds of a live backfill."""
    if _live(shown) or shown.running_attempts:
        return f"live-{service.context.now() // REDRAWN_EVERY:.0f}"
    with service.context.db.read() as tx:
        return pace_and_calendar_queries.ends_version(tx, shown.id)


def _charts(service: DaemonService, shown: responses.Backfill) -> Charts:
    with service.context.db.read() as tx:
        rows = attempt_lists.attempts_of_backfill(tx, shown.id, MAX_ATTEMPTS + 1)
        attempts = serializers.attempts(tx, rows[:MAX_ATTEMPTS], service.pipeline)
        ended = pace_and_calendar_queries.ends_of_backfill(tx, shown.id)
        now = service.context.now()
        jobs = pace_and_calendar_queries.latest_jobs(tx, 0.0, now, MAX_JOBS, DateScope(backfill=shown.id))
    return Charts(
        timeline=attempt_timeline.draw(attempts, now),
        earlier=len(rows) > MAX_ATTEMPTS,
        pace=pace_chart.draw(ended, _live(shown), jobs),
    )


def _live(shown: responses.Backfill) -> int:
    return sum(n for state, n in shown.states.items() if state not in FINAL)
