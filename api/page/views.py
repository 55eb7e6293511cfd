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

from api import activity, problems, telling
from api.access.guard import principal
from api.access.tokens import Scope
from api.endpoint import read
from api.page import reading, words
from api.page.kinds import Kinds
from api.routes import backfills, dates, reports
from api.schemas import asked
from api.schemas.fields import whole_number
from api.schemas.told import Problem
from api.served import Served
from daemon.reports.progress import progress
from state.pipeline import FAILED
from state.records import Scrapers

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
REQUESTED = ("start", "end", "scrapers", "priority", "max_failures", "note", "force")
"""The fields of the form for a new backfill."""
_HERE = re.compile(r"/(?![/\\])[!-~]*")
"""An address on this site. Browsers leave out tabs and line breaks, and what follows `//` is another host."""


def blueprint(service: Served) -> Blueprint:
    """The pages of one daemon."""
    page = Blueprint("page", __name__, template_folder="templates", static_folder="static")
    kinds = Kinds(service.core.machine.states)
    for name, filter_ in words.FILTERS.items():
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


def overview(service: Served, kinds: Kinds) -> AnyResponse:
    """Where the whole stands. The grid is a part of its own, drawn only when it would look different."""
    part = request.args.get("part")
    if part == "calendar":
        return _calendar(service, kinds)
    with service.core.db.read() as tx:
        found, waits = progress(tx, service.core), activity.waits(tx, service.core)
    shown = [one.attempt for one in found.running[:MOST_JOBS]]
    return _shown(
        "overview",
        progress=telling.progress(found, service.pipeline),
        grid=None if part else reading.picture(service, kinds),
        bar_of_all=kinds.bar(found.states, found.outcomes),
        most=MOST_JOBS,
        lines={attempt.id: activity.last_line(service, attempt) for attempt in shown},
        waits=waits,
        failed=dates.listed(service, query=read(asked.DatesPage, FAILED_DATES)).items,
    )


def _calendar(service: Served, kinds: Kinds) -> Response:
    if reading.picture_version(service) in request.if_none_match:
        return Response(status=304)
    grid = reading.picture(service, kinds)
    response = Response(render_template("parts/calendar.html", grid=grid))
    response.set_etag(grid.version)
    return response


def date(service: Served, date: str) -> AnyResponse:
    """One date."""
    which = read(asked.ByDate, {"date": date})
    told = dates.one(service, which=which)
    return _shown(
        "date",
        told=told,
        before=which.date - DAY,
        after=which.date + DAY,
        states=service.core.machine.states,
        passed=reading.path(told),
        verdicts=reading.by_phase(told),
    )


def backfill_list(service: Served) -> AnyResponse:
    """All backfills."""
    query = read(asked.BackfillsPage, {"limit": "50", **_given("cursor")})
    return _shown("backfills", told=backfills.listed(service, query=query))


def backfill(service: Served, id: str) -> AnyResponse:  # noqa: A002 - the API's name for it
    """One backfill with its dates."""
    which = read(asked.ById, {"id": id})
    query = read(asked.BackfillDatesPage, {"limit": "200", **_given("cursor")})
    return _shown(
        "backfill",
        told=backfills.one(service, which=which),
        page=backfills.its_dates(service, which=which, query=query),
    )


def enqueue(service: Served) -> str:
    """The form for a new backfill; once it is filled in, what would become of it."""
    given = _given(*REQUESTED)
    form = {"form": given, "scrapers": list(Scrapers)}
    if "start" not in given:
        return render_template("enqueue.html", **form)
    wanted = _request(given)
    body = read(asked.NewBackfill, {**wanted, "dry_run": True})
    receipt = backfills.create(service, body=body, header=asked.IdempotencyKey()).body
    span = {name: given[name] for name in ("start", "end", "scrapers") if name in given}
    plan = reports.plan(service, query=read(asked.PlanRange, span))
    return render_template(
        "enqueue.html",
        **form,
        receipt=receipt,
        plan=plan,
        work=list(reading.in_short(plan)),
        body=json.dumps(wanted),
        key=uuid.uuid4(),
    )


def validation(service: Served) -> str:
    """What exists for a range of dates."""
    given = _given("start", "end")
    told = reports.validation(service, query=read(asked.Range, given)) if "start" in given else None
    return render_template("validation.html", form=given, told=told)


def login(service: Served) -> str:
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
    return render_template(name, problem=problem, form=request.args, scrapers=list(Scrapers)), problem.status
