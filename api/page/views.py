"""The pages. The first request renders the whole page; its script then polls for the part that changes."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from backfilld.api import problem_responses, running_jobs_and_wait_groups, serializers
from backfilld.api.auth.request_guard import principal
from backfilld.api.auth.tokens import Scope
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import parse
from backfilld.api.page import (
    attempt_timeline,
    backfill_page,
    date_and_attempt_list_pages,
    grid_page,
    processor_page,
    template_filters,
    view_models,
)
from backfilld.api.page.date_styles import DateStyles
from backfilld.api.page.template_responses import query_fields, render, render_part
from backfilld.api.routes import backfills, dates, plan_and_data_quality
from backfilld.api.schemas import list_query_parameters, request_parameters
from backfilld.api.schemas.field_types import whole_number
from backfilld.api.schemas.new_backfill import NewBackfill
from backfilld.api.schemas.responses import Problem
from backfilld.daemon.reports.progress import progress
from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import Sources

DAY = dt.timedelta(days=1)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content Security Policy: no foreign origin, no inline script or style, no framing."""
MAX_JOBS = 20
"""Running jobs that the overview lists; it counts the others."""
FAILED_DATES = {"state": FAILED, "limit": "5"}
"""Query of the failed dates that the overview lists; it counts the others."""
SCOPES: Mapping[str, Scope | None] = {"page.login": None, "page.static": None}
"""Pages that need no token."""
_PLANNED = ("start", "end", "sources")
_FLAGS, _TERMS = ("force", "with_upstream"), ("select", "exclude")
ENQUEUE_FIELDS = ("start", "end", "sources", "priority", "max_failures", "note", *_TERMS, *_FLAGS)
"""The fields of the enqueue form."""
_LOCAL_PATH = re.compile(r"/(?![/\\])[!-~]*")
"""A path on this site. Browsers drop tabs and line breaks, and `//` starts a host."""


def blueprint(service: DaemonService) -> Blueprint:
    """The pages of one daemon."""
    page = Blueprint("page", __name__, template_folder="templates", static_folder="static")
    styles = DateStyles(service.context.machine.states)
    for name, filter_ in template_filters.FILTERS.items():
        page.add_app_template_filter(filter_, name)
    page.app_context_processor(
        lambda: {
            "pipeline": service.pipeline.name,
            "timezone": service.pipeline.timezone,
            "styles": styles,
            "principal": principal(),
        }
    )
    page.after_request(_add_security_headers)
    page.register_error_handler(Unauthorized, _redirect_to_login)
    for error_type in problem_responses.HANDLED:
        page.register_error_handler(error_type, _problem)
    page.app_errorhandler(HTTPException)(_problem_without_route)
    page.add_url_rule("/", overview.__name__, partial(overview, service, styles))
    page.add_url_rule("/grid", "grid", partial(grid_page.show, service))
    page.add_url_rule("/dates", "date_list", partial(date_and_attempt_list_pages.date_list, service))
    page.add_url_rule(
        "/dates", "change_dates", partial(date_and_attempt_list_pages.change_dates, service), methods=["POST"]
    )
    page.add_url_rule("/attempts", "attempt_list", partial(date_and_attempt_list_pages.attempt_list, service))
    page.add_url_rule("/grid/enqueue", "enqueue_marked", grid_page.enqueue_marked)
    page.add_url_rule("/grid", "change_grid", partial(grid_page.change, service), methods=["POST"])
    for route, view in _VIEWS.items():
        page.add_url_rule(route, view.__name__, partial(view, service))
    return page


def overview(service: DaemonService, styles: DateStyles) -> AnyResponse:
    """The overview. The calendar is a part of its own, rendered only when it changes."""
    part = request.args.get("part")
    if part == "calendar":
        version = view_models.calendar_image_version(service)
        return render_part("calendar", version, lambda: {"grid": view_models.calendar_image(service, styles)})
    with service.context.db.read() as tx:
        report, waits = progress(tx, service.context), running_jobs_and_wait_groups.waits(tx, service.context)
    jobs = [job.attempt for job in report.running[:MAX_JOBS]]
    return render(
        "overview",
        progress=serializers.progress(report, service.pipeline, service.health()),
        grid=None if part else view_models.calendar_image(service, styles),
        bar_of_all=styles.bar(report.states, report.outcomes),
        max_jobs=MAX_JOBS,
        lines={attempt.id: running_jobs_and_wait_groups.last_line(service, attempt) for attempt in jobs},
        waits=waits,
        failed=dates.list_dates(service, query=parse(list_query_parameters.DatesPage, FAILED_DATES)).items,
    )


def date(service: DaemonService, date: str) -> AnyResponse:
    """One date."""
    path = parse(request_parameters.ByDate, {"date": date})
    shown = dates.get_date(service, path=path)
    return render(
        "date",
        date=shown,
        before=path.date - DAY,
        after=path.date + DAY,
        states=service.context.machine.states,
        passed=view_models.passed_states(shown),
        verdicts=view_models.by_phase(shown),
        timeline=attempt_timeline.draw(shown.attempts, service.context.now()),
        acceptable=view_models.acceptable(service, path.date),
        withdrawals=view_models.withdrawals(service, path.date),
        rerunnable=view_models.rerunnable(service, shown),
    )


def backfill_list(service: DaemonService) -> AnyResponse:
    """All backfills."""
    query = parse(list_query_parameters.BackfillsPage, {"limit": "50", **query_fields("cursor")})
    return render("backfills", backfills=backfills.list_backfills(service, query=query))


def enqueue(service: DaemonService) -> str:
    """The form for a new backfill; once it is filled in, the plan of it."""
    fields = query_fields(*ENQUEUE_FIELDS)
    form = {"form": fields, "sources": list(Sources), "processors": list(service.pipeline.processors)}
    if "start" not in fields:
        return render_template("enqueue.html", **form)
    values = _request_values(fields)
    body = parse(NewBackfill, {**values, "dry_run": True})
    result = backfills.create_backfill(service, body=body, header=request_parameters.IdempotencyKey()).body
    query: dict[str, str] = {name: fields[name] for name in _PLANNED if name in fields}
    query |= {name: ",".join(values[name]) for name in _TERMS if name in values}
    query |= {name: "true" for name in _FLAGS if values[name]}
    plan = plan_and_data_quality.get_plan(service, query=parse(request_parameters.PlanRange, query))
    return render_template(
        "enqueue.html",
        **form,
        result=result,
        plan=plan,
        jobs=list(view_models.summarize_plan(plan)),
        body=json.dumps(values),
        key=uuid.uuid4(),
    )


def validation(service: DaemonService) -> str:
    """The form for a validation, and its report."""
    fields = query_fields("start", "end")
    report = None
    if "start" in fields:
        report = plan_and_data_quality.get_validation(service, query=parse(request_parameters.Range, fields))
    return render_template("validation.html", form=fields, report=report)


def login(service: DaemonService) -> str:
    """The form that exchanges a token for a session cookie."""
    following = request.args.get("next", "")
    target = following if _LOCAL_PATH.fullmatch(following) else url_for("page.overview")
    return render_template("login.html", target=target)


_View = Callable[..., AnyResponse | str]
_VIEWS: Mapping[str, _View] = {
    "/dates/<date>": date,
    "/backfills": backfill_list,
    "/backfills/<id>": backfill_page.backfill,
    "/processors/<name>": processor_page.processor,
    "/enqueue": enqueue,
    "/validation": validation,
    "/login": login,
}


_FORMS = {"page.enqueue": "enqueue.html", "page.validation": "validation.html"}


def _request_values(fields: Mapping[str, str]) -> dict[str, Any]:
    """The fields of the enqueue form as a request body."""
    numbers = {name: _number(fields[name]) for name in ("priority", "max_failures") if name in fields}
    terms = {name: fields[name].replace(",", " ").split() for name in _TERMS if name in fields}
    return {**fields, **numbers, **terms, **{name: name in fields for name in _FLAGS}}


def _number(text: str) -> int | str:
    """A number, or the text for the model to reject."""
    try:
        return whole_number(text)
    except ValueError:
        return text


def _add_security_headers(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def _redirect_to_login(error: Unauthorized) -> AnyResponse:
    """Redirect to the login page, which then leads to the whole page that was requested."""
    query = urlencode([(name, value) for name, value in request.args.items(multi=True) if name != "part"])
    requested = f"{quote(request.path)}{f'?{query}' if query else ''}"
    return redirect(url_for("page.login", next=requested))


def _problem(error: Exception) -> tuple[str, int]:
    """The problem of the API, shown above the form that caused it, else as a page."""
    problem = Problem.model_validate_json(problem_responses.to_response(error).get_data())
    name = _FORMS.get(request.endpoint or "", "problem.html")
    return render_template(name, problem=problem, form=request.args, sources=list(Sources)), problem.status


def _problem_without_route(error: HTTPException) -> AnyResponse:
    """The problem of a request that has no route: a page for a browser, JSON for every other client."""
    accepted = request.accept_mimetypes
    if request.endpoint is not None or accepted["text/html"] <= accepted["application/json"]:
        return problem_responses.to_response(error)
    if isinstance(error, Unauthorized):
        return _redirect_to_login(error)
    return _add_security_headers(make_response(_problem(error)))
