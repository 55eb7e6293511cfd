"""What would run for a validated range: the plan of `validate --plan`, and the comparison of `--compare`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from backfilld.api.cli import show_plan
from backfilld.api.schemas import plans
from backfilld.daemon.preflight.job_script_options import refused_options
from backfilld.daemon.reports.data_completeness import Validation
from backfilld.daemon.reports.plan.plan import Comparison, Plan, compare, plan
from backfilld.daemon.reports.plan.selection_and_force_options import RequestOptions
from backfilld.daemon.reports.recorded_state_model import KnownState
from backfilld.daemon.warehouses.adapter import DescribedWarehouse
from backfilld.state.pipeline.pipeline import Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationPlan:
    """What was asked for beside the validation."""

    plan: Plan | None
    comparison: Comparison | None

    def plain(self) -> dict[str, Any]:
        """Further keys of the JSON document."""
        document: dict[str, Any] = {}
        if self.plan:
            document["plan"] = plans.Plan.plain(self.plan)
        if self.comparison:
            document["comparison"] = plans.Comparison.plain(self.comparison)
        return document

    def lines(self) -> Iterator[Text]:
        """Further lines of the report."""
        if self.plan:
            yield from show_plan.lines(self.plan)
        if self.comparison:
            yield from show_plan.comparison_lines(self.comparison)


def validation_plan(
    report: Validation,
    pipeline: Pipeline,
    warehouse: DescribedWarehouse,
    known: KnownState,
    *,
    options: RequestOptions | None,
    compared: bool,
    window: tuple[dt.date, dt.date] | None,
) -> ValidationPlan:
    """The plan for a request with `options`, none without; with `compared`, also the comparison of plans."""
    refused = refused_options(pipeline)
    planned: Plan | None = None
    comparison: Comparison | None = None
    if options:
        planned = plan(
            report,
            pipeline,
            options=options,
            typical_seconds=known.typical_seconds.get,
            price=warehouse.estimate_bytes,
            stale=known.stale,
            refused_options=refused,
            done=known.done,
        )
    if compared:
        comparison = compare(
            report,
            pipeline,
            typical_seconds=known.typical_seconds.get,
            price=warehouse.estimate_bytes,
            refused_options=refused,
            window=window,
            done=known.done,
        )
    return ValidationPlan(plan=planned, comparison=comparison)
