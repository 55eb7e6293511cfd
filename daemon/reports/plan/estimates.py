"""How long a plan takes, and what its warehouse queries cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.reports.plan.models import Cost, Step
from backfilld.daemon.reports.plan.schedule import Schedule
from backfilld.daemon.warehouses.adapter import Wanted, WarehouseError
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.pipeline import Pipeline

Price = Callable[[Wanted], int]
"""About how many bytes a query of these (processor, date) pairs is billed."""

DOLLARS_PER_TIB = 6.25
"""BigQuery's on-demand list price."""


def wall_clock(pipeline: Pipeline, phase: Phase, steps: Sequence[Step]) -> float:
    """Seconds from the first start to the last end of a phase's steps; a step of unknown time counts 0.

    Each step starts, in the order of the plan, as soon as a slot, a slot of its pool and a writer of its
    table are free, and the steps that it needs have ended. Closed windows do not count.
    """
    return Schedule(pipeline, 0.0).end_of(phase, steps)


def cost(pipeline: Pipeline, wanted: Wanted, steps: Sequence[Step], price: Price | None) -> Cost:
    """One calendar query, one query of `wanted`, and one query of each step's pairs after its end."""
    per_query = 2 if pipeline.history else 1
    queries = 1 + per_query * (1 + len(steps))
    if price is None:
        return Cost(queries=queries, bytes=None, dollars=None, note="the price of a query is not known")
    try:
        total = price(wanted) if wanted else 0
        if steps:
            # One query of every planned table gives the average price of a query of one table.
            sample = {step.processor: [step.dates[0]] for step in steps}
            total += round(price(sample) / len(sample) * len(steps))
    except WarehouseError as error:
        return Cost(queries=queries, bytes=None, dollars=None, note=f"the price could not be asked: {error}")
    billed = "price" in warehouse_adapter(pipeline.warehouse.kind).capabilities
    dollars = round(total / 2**40 * DOLLARS_PER_TIB, 4) if billed else None
    return Cost(queries=queries, bytes=total, dollars=dollars, note="")
