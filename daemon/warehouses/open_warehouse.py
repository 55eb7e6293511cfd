"""The warehouse of a pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.warehouses.adapter import DescribedWarehouse, Ledger, Purpose, QueryHooks, noop
from backfilld.daemon.warehouses.billing_budget import InMemoryLedger
from backfilld.state.pipeline.pipeline import Pipeline


def open_warehouse(
    pipeline: Pipeline,
    *,
    on_query: Callable[[Purpose, int], None] = noop,
    on_error: Callable[[], None] = noop,
    now: Callable[[], float] = time.time,
    ledger: Ledger | None = None,
) -> DescribedWarehouse:
    """The pipeline's warehouse, not connected yet: its first query shows whether it answers.

    `on_query(purpose, bytes billed)` is called for each query sent, `on_error()` for each that was not
    answered, both from the thread that sent it. `ledger` records what each quota day was billed, in memory
    by default.
    """
    hooks = QueryHooks(
        on_query=on_query,
        on_error=on_error,
        now=now,
        ledger=ledger or InMemoryLedger(),
        quota_zone=pipeline.quota_timezone,
    )
    return warehouse_adapter(pipeline.warehouse.kind).open(pipeline, hooks)
