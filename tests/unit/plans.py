"""Plans to be looked at by tests."""

import datetime as dt
from typing import Any

from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import Plan, plan
from backfilld.state.pipeline.pipeline import Pipeline
from tests.factories import NOW, nba
from tests.fake_warehouse import FakeWarehouse


def date(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def planned(
    pipeline: Pipeline, facts: FakeWarehouse, start: str, end: str | None = None, **options: Any
) -> Plan:
    report = validation(pipeline, facts, date(start), date(end or start), now=NOW)
    return plan(report, pipeline, **options)


def order(made: Plan) -> list[str]:
    return [f"{step.dates[0]} {step.processor}" for step in made.steps]


def small(games: int = 8, **keys: Any) -> tuple[Pipeline, FakeWarehouse]:
    """The pipeline in small, and a warehouse with nothing in it on 2021-10-19, the opener."""
    small_nba = nba(**keys)
    return small_nba, FakeWarehouse(small_nba, calendar={date("2021-10-19"): games})
