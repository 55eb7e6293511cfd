"""Reports over a range of dates: the warehouse is asked while the client waits."""

from __future__ import annotations

import datetime as dt

from api.endpoint import Section
from api.schemas import asked
from api.schemas.reports import Plan, Validation
from api.served import Served
from daemon import lookback, report
from daemon import plan as plans
from daemon.core import Core
from daemon.survey import Known
from state.store import attempts, checks

section = Section("reports", "What exists for a range of dates, and what would run")


@section.get("/v1/validation", Validation, query=asked.Range, problems=(503,))
def validation(service: Served, *, query: asked.Range) -> Validation:
    """What exists from `start` to `end`, both included, what does not and why, and what to do next.

    The warehouse is asked now; the verdicts are those that the engine's gates would see.
    """
    return Validation.model_validate(_validated(service, query))


@section.get("/v1/plan", Plan, query=asked.PlanRange, problems=(503,))
def plan(service: Served, *, query: asked.PlanRange) -> Plan:
    """What would run for the range, in order, with the exact commands, the expected time and the cost.

    Times come from the attempts so far. Nothing is enqueued.
    """
    with service.core.db.read() as tx:
        typical = {name: attempts.typical_seconds(tx, name) for name in service.pipeline.processors}
    found = plans.plan(
        _validated(service, query),
        service.pipeline,
        scrapers=query.scrapers,
        typical_seconds=typical.get,
        price=service.warehouse.price,
    )
    return Plan.model_validate(found)


def _validated(service: Served, query: asked.Range) -> report.Validation:
    start, end = query.start, query.end or query.start
    known = _known(service.core, start, end)
    return report.validation(
        service.pipeline, service.warehouse, start, end, now=service.core.now(), known=known
    )


def _known(core: Core, start: dt.date, end: dt.date) -> Known:
    """What the state database remembers of the range and of what lies behind it."""
    first, last = lookback.calendar_span(core.pipeline, start, end)
    span = [dt.date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]
    with core.db.read() as tx:
        return {date: own for date, own in checks.of_dates_between(tx, span).items() if own}
