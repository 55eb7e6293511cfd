"""The pages' addresses. A page is rendered whole at first; then its script asks for its parts alone."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response as AnyResponse

from backfilld.api import activity, problems, serializers
from backfilld.api.auth.request_guard import principal
from backfilld.api.auth.tokens import Scope
from backfilld.api.endpoint import read
from backfilld.api.page import filters, view_models
from backfilld.api.page.date_styles import DateStyles
from backfilld.api.ports import DaemonService
from backfilld.api.routes import backfills, dates, reports
from backfilld.api.schemas import requests
from backfilld.api.schemas.fields import whole_number
from backfilld.api.schemas.responses import Problem
from backfilld.daemon.reports.progress import progress
from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import Sources

DAY = dt.timedelta(days=1)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing comes from elsewhere, nothing inline is run, and nobody puts a page into his own."""
MOST_JOBS = 20
"""Running jobs that the overview names; it counts the others."""
FAILED_DATES = {"state": FAILED, "limit": "5"}
"""The failed dates that the overview names; it counts the others."""
SCOPES: Mapping[str, Scope | None] = {"page.login": None, "page.static": None}
"""What is shown to those whom nobody knows yet."""
REQUESTED = ("start", "end", "sources", "priority", "max_failures", "note", "force")
"""The fields of the form for a new backfill."""
_HERE = re.compile(r"/(?![/\\])[!-~]*")
"""An address on this site. Browsers leave out tabs and line breaks, and what follows `//` is another host."""


def blueprint(service: DaemonService) -> Blueprint:
    """The pages of one daemon."""
    page = Blueprint("page", __name__, template_folder="templates", static_folder="static")
    kinds = DateStyles(service.context.machine.states)
    for name, filter_ in filters.FILTERS.items():
        page.add_app_template_filter(filter_, name)
    page.context_processor(lambda: {"pipeline": service.pipeline.name, "kinds": kinds, "who": principal()})
    page.after_request(_guarded)
    page.register_error_handler(Unauthorized, _login)
    for kind in problems.ANSWERED:
        page.register_error_handler(kind, _problem)
    page.add_url_rule("/", overview.__name__, partial(overview, service, kinds))
    for address, view in _VIEWS.items():
        page.add_url_rule(address, view.__name__, partial(view, service))
    return page


def overview(service: DaemonService, kinds: DateStyles) -> AnyResponse:
    """Where the whole stands. The grid is a part of its own, drawn only when it would look different."""
    part = request.args.get("part")
    if part == "calendar":
        return _calendar(service, kinds)
    with service.context.db.read() as tx:
        found, waits = progress(tx, service.context), activity.waits(tx, service.context)
    shown = [one.attempt for one in found.running[:MOST_JOBS]]
    return _shown(
        "overview",
        progress=serializers.progress(found, service.pipeline),
        grid=None if part else view_models.calendar_image(service, kinds),
        bar_of_all=kinds.bar(found.states, found.outcomes),
        most=MOST_JOBS,
        lines={attempt.id: activity.last_line(service, attempt) for attempt in shown},
        waits=waits,
        failed=dates.list_(service, query=read(requests.DatesPage, FAILED_DATES)).items,
    )


def _calendar(service: DaemonService, kinds: DateStyles) -> Response:
    if view_models.calendar_image_version(service) in request.if_none_match:
        return Response(status=304)
    grid = view_models.calendar_image(service, kinds)
    response = Response(render_template("parts/calendar.html", grid=grid))
    response.set_etag(grid.version)
    return response


def date(service: DaemonService, date: str) -> AnyResponse:
    """One date."""
    which = read(requests.ByDate, {"date": date})
    told = dates.get(service, which=which)
    return _shown(
        "date",
        told=told,
        before=which.date - DAY,
        after=which.date + DAY,
        states=service.context.machine.states,
        passed=view_models.path(told),
        verdicts=view_models.by_phase(told),
    )


def backfill_list(service: DaemonService) -> AnyResponse:
    """All backfills."""
    query = read(requests.BackfillsPage, {"limit": "50", **_given("cursor")})
    return _shown("backfills", told=backfills.list_(service, query=query))


def backfill(service: DaemonService, id: str) -> AnyResponse:  # noqa: A002 - the API's name for it
    """One backfill with its dates."""
    which = read(requests.ById, {"id": id})
    query = read(requests.BackfillDatesPage, {"limit": "200", **_given("cursor")})
    return _shown(
        "backfill",
        told=backfills.get(service, which=which),
        page=backfills.list_dates(service, which=which, query=query),
    )


def enqueue(service: DaemonService) -> str:
    """The form for a new backfill; once it is filled in, what would become of it."""
    given = _given(*REQUESTED)
    form = {"form": given, "sources": list(Sources)}
    if "start" not in given:
        return render_template("enqueue.html", **form)
    wanted = _request(given)
    body = read(requests.NewBackfill, {**wanted, "dry_run": True})
    receipt = backfills.create(service, body=body, header=requests.IdempotencyKey()).body
    span = {name: given[name] for name in ("start", "end", "sources") if name in given}
    plan = reports.plan(service, query=read(requests.PlanRange, span))
    return render_template(
        "enqueue.html",
        **form,
        receipt=receipt,
        plan=plan,
        work=list(view_models.summarize_plan(plan)),
        body=json.dumps(wanted),
        key=uuid.uuid4(),
    )


def validation(service: DaemonService) -> str:
    """What exists for a range of dates."""
    given = _given("start", "end")
    told = reports.validation(service, query=read(requests.Range, given)) if "start" in given else None
    return render_template("validation.html", form=given, told=told)


def login(service: DaemonService) -> str:
    """The form that exchanges a token for a session; its cookie is out of reach of scripts."""
    wanted = request.args.get("next", "")
    here = wanted if _HERE.fullmatch(wanted) else url_for("page.overview")
    return render_template("login.html", wanted=here)


_View = Callable[..., AnyResponse | str]
_VIEWS: Mapping[str, _View] = {
    "/dates/<date>": date,
    "/backfills": backfill_list,
    "/backfills/<id>": backfill,
    "/enqueue": enqueue,
    "/validation": validation,
    "/login": login,
}


_FORMS = {"page.enqueue": "enqueue.html", "page.validation": "validation.html"}


def _shown(name: str, **context: Any) -> Response:
    """A page that stays fresh, or its part alone when its script asks again; nothing when it is as it was."""
    folder = "parts/" if request.args.get("part") else ""
    response = Response(render_template(f"{folder}{name}.html", **context))
    response.add_etag()
    response.make_conditional(request)
    return response


def _given(*names: str) -> dict[str, str]:
    """The fields of the query that were filled in."""
    return {name: request.args[name] for name in names if request.args.get(name)}


def _request(given: Mapping[str, str]) -> dict[str, Any]:
    """A form's fields as the API takes them."""
    numbers = {name: _number(given[name]) for name in ("priority", "max_failures") if name in given}
    return {**given, **numbers, "force": "force" in given}


def _number(text: str) -> int | str:
    """A number where it is one; else the model complains about the text."""
    try:
        return whole_number(text)
    except ValueError:
        return text


def _guarded(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    return response


def _login(error: Unauthorized) -> AnyResponse:
    """To the login; the page that was wanted comes after it, whole."""
    query = urlencode([(name, value) for name, value in request.args.items(multi=True) if name != "part"])
    wanted = f"{quote(request.path)}{f'?{query}' if query else ''}"
    return redirect(url_for("page.login", next=wanted))


def _problem(error: Exception) -> tuple[str, int]:
    """An error in the API's own words: over the form that caused it, else as a page."""
    problem = Problem.model_validate_json(problems.answer(error).get_data())
    name = _FORMS.get(request.endpoint or "", "problem.html")
    return render_template(name, problem=problem, form=request.args, sources=list(Sources)), problem.status
