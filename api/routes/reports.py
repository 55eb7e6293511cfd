"""Reports over a range of dates: the warehouse is asked while the client waits."""

from __future__ import annotations

import datetime as dt

from api.endpoint import Section
from api.schemas import asked
from api.schemas.reports import Validation
from api.served import Served
from daemon import lookback, report
from daemon.core import Core
from daemon.survey import Known
from state.store import checks

section = Section("reports", "What exists for a range of dates")


@section.get("/v1/validation", Validation, query=asked.Range, problems=(503,))
def validation(service: Served, *, query: asked.Range) -> Validation:
    """What exists from `start` to `end`, both included, what does not and why, and what to do next.

    The warehouse is asked now; the verdicts are those that the engine's gates would see.
    """
    start, end = query.start, query.end or query.start
    found = report.validation(
        service.pipeline,
        service.warehouse,
        start,
        end,
        now=service.core.now(),
        known=_known(service.core, start, end),
    )
    return Validation.model_validate(found)


def _known(core: Core, start: dt.date, end: dt.date) -> Known:
    """What the state database remembers of the range and of what lies behind it."""
    first, last = lookback.calendar_span(core.pipeline, start, end)
    span = [dt.date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]
    with core.db.read() as tx:
        return {date: own for date, own in checks.of_dates_between(tx, span).items() if own}
