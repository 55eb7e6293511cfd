"""The grid page: eight weeks of dates across, processors down, and actions on a marked rectangle."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from flask import redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from backfilld.api import grid_encoding
from backfilld.api.auth.request_guard import current_actor
from backfilld.api.daemon_interface import DaemonService
from backfilld.api.endpoint_definition import parse
from backfilld.api.page import grid_actions
from backfilld.api.page.template_responses import query_fields, render
from backfilld.api.problem_responses import BadInput
from backfilld.api.routes.grid import read
from backfilld.api.schemas.grid import GridAction, GridSelection
from backfilld.api.schemas.request_parameters import ByDate
from backfilld.state.rules.season_calendar import Season
from backfilld.state.rules.verdict import Verdict
from backfilld.state.spelling_suggestions import did_you_mean
from backfilld.state.store import dates, pace_and_calendar_queries

WEEKS = 8
DAYS = 7 * WEEKS
_SIGNS = {
    **{letter: (verdict.symbol, f"v-{verdict}") for verdict, letter in grid_encoding.LETTERS.items()},
    **{letter.upper(): ("w", "v-waived") for letter in grid_encoding.LETTERS.values()},
    grid_encoding.ATTEMPT: ("▷", "v-running"),
    grid_encoding.NOT_CHECKED: ("·", "v-unchecked"),
    grid_encoding.NO_CHECK: ("", ""),
}
"""Sign and CSS class of each letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The eight weeks that are shown, from a Monday on."""

    start: dt.date

    @property
    def end(self) -> dt.date:
        """The last Sunday."""
        return self.start + dt.timedelta(days=DAYS - 1)

    @property
    def days(self) -> Sequence[dt.date]:
        """Every date, oldest first."""
        return [self.start + dt.timedelta(days=n) for n in range(DAYS)]

    @property
    def before(self) -> dt.date:
        """The first date of the window before."""
        return self.start - dt.timedelta(days=DAYS)

    @property
    def after(self) -> dt.date:
        """The first date of the window after."""
        return self.start + dt.timedelta(days=DAYS)


def show(service: DaemonService) -> AnyResponse:
    """The grid; with `do` also what that would do with the rectangle from `first` to `last`."""
    window = _window(service)
    context = _context(service, window, request.args)
    if request.args.get("do") and not request.args.get("part"):
        marked = _selection(service, request.args)
        context |= {"marked": marked, "preview": grid_actions.preview(service, marked)}
    return render("grid", **context)


def change(service: DaemonService) -> str:
    """Retry or accept the rectangle of the form, and show the answer of each date."""
    marked = _selection(service, request.form)
    if marked.do is GridAction.ACCEPT and not marked.reason:
        raise BadInput.for_field("reason", "is missing; say why the dates may pass without these outputs")
    applied = grid_actions.apply(service, marked, current_actor())
    context = _context(service, _window(service), request.form)
    return render_template("grid.html", applied=applied, marked=marked, **context)


def enqueue_marked() -> AnyResponse:
    """The enqueue form with the plan of the marked dates and processors."""
    fields = query_fields("first", "last")
    select = ",".join(request.args.getlist("processor")) or None
    return redirect(url_for("page.enqueue", start=fields.get("first"), end=fields.get("last"), select=select))


def _context(service: DaemonService, window: Window, form: MultiDict[str, str]) -> dict[str, object]:
    """What the template shows, whatever is marked."""
    rows = read(service, window.start, window.end).rows
    with service.context.db.read() as tx:
        states = {
            cell.date: cell for cell in pace_and_calendar_queries.calendar(tx, window.start, window.end)
        }
    return {
        "window": window,
        "phases": [(phase, list(group)) for phase, group in groupby(rows, lambda row: row.phase)],
        "signs": _SIGNS,
        "states": states,
        "seasons": service.pipeline.seasons.seasons,
        "season": _season(service.pipeline.seasons.seasons, window),
        "chosen": form.getlist("processor"),
        "first": form.get("first", ""),
        "last": form.get("last", ""),
        "verdicts": list(Verdict),
    }


def _season(seasons: Sequence[Season], window: Window) -> str:
    """The name of the season in which most of the window lies; empty outside of all."""
    middle = window.start + dt.timedelta(days=DAYS // 2)
    return next((season.name for season in seasons if season.opens <= middle <= season.closes), "")


def _window(service: DaemonService) -> Window:
    """The window of the URL; without one, the last eight weeks that were enqueued."""
    fields = query_fields("start")
    if fields:
        return Window(start=_monday(parse(ByDate, {"date": fields["start"]}).date))
    with service.context.db.read() as tx:
        span = dates.span(tx)
    if span is None:
        return Window(start=_monday(dt.datetime.fromtimestamp(service.context.now(), dt.UTC).date()))
    first = span[1] - dt.timedelta(days=DAYS - 7)
    return Window(start=_monday(max(first, span[0])))


def _monday(date: dt.date) -> dt.date:
    return date - dt.timedelta(days=date.weekday())


def _selection(service: DaemonService, form: MultiDict[str, str]) -> GridSelection:
    values: dict[str, object] = {
        name: form[name] for name in ("first", "last", "do", "reason") if form.get(name)
    }
    marked = parse(GridSelection, {**values, "processor": tuple(form.getlist("processor"))})
    for name in marked.processor:
        if name not in service.pipeline.processors:
            raise BadInput.for_field(
                "processor",
                f"there is no processor '{name}'; {did_you_mean(name, service.pipeline.processors)}",
            )
    return marked
