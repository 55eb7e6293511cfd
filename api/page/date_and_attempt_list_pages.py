"""Lists with filters: dates, with a retry of the chosen ones, and attempts. The URL holds the filter."""

from __future__ import annotations

from flask import render_template, request
from werkzeug.wrappers import Response as AnyResponse

from backfilld.api.auth.request_guard import current_actor
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import parse
from backfilld.api.page import grid_actions
from backfilld.api.page.template_responses import query_fields, render
from backfilld.api.routes import attempts, dates
from backfilld.api.schemas import list_query_parameters, request_parameters
from backfilld.state.records import AttemptStatus, Mark
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.verdict import Verdict

DATE_FILTERS = ("start", "end", "state", "outcome", "mark", "processor", "verdict", "reason")
ATTEMPT_FILTERS = ("status", "failed", "processor", "verdict", "reason")
PAGE_SIZE = "200"


def date_list(service: DaemonService) -> AnyResponse:
    """The dates that match the filter."""
    return render("dates", **_dates(service))


def change_dates(service: DaemonService) -> str:
    """Retry the chosen dates, and show the answer of each."""
    chosen = [parse(request_parameters.ByDate, {"date": date}).date for date in request.form.getlist("date")]
    applied = grid_actions.retry_dates(service, chosen, current_actor())
    return render_template("dates.html", applied=applied, **_dates(service))


def attempt_list(service: DaemonService) -> AnyResponse:
    """The attempts that match the filter, newest first."""
    fields = query_fields(*ATTEMPT_FILTERS, "cursor")
    query = parse(list_query_parameters.AttemptsPage, {"limit": PAGE_SIZE, **fields})
    return render(
        "attempts",
        page=attempts.list_attempts(service, query=query),
        form=fields,
        choices={
            "status": list(AttemptStatus),
            "verdict": list(Verdict),
            "processor": list(service.pipeline.processors),
        },
    )


def _dates(service: DaemonService) -> dict[str, object]:
    fields = query_fields(*DATE_FILTERS, "cursor")
    query = parse(list_query_parameters.DatesPage, {"limit": PAGE_SIZE, **fields})
    return {
        "page": dates.list_dates(service, query=query),
        "form": fields,
        "choices": {
            "state": service.context.machine.states,
            "outcome": list(Outcome),
            "mark": list(Mark),
            "processor": list(service.pipeline.processors),
            "verdict": list(Verdict),
        },
    }
