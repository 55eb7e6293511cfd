"""The warehouse that a pipeline names."""

from __future__ import annotations

import time
from collections.abc import Callable

from daemon.warehouse import Purpose
from daemon.warehouse.backend import Backend, Meter, unheard
from daemon.warehouse.budget import Ledger, Passing
from daemon.warehouse.calendar import GameCalendar
from daemon.warehouse.inquiry import Inquiry
from state.pipeline import Pipeline


def open_warehouse(
    pipeline: Pipeline,
    *,
    on_query: Callable[[Purpose, int], None] = unheard,
    on_error: Callable[[], None] = unheard,
    now: Callable[[], float] = time.time,
    ledger: Ledger | None = None,
) -> Inquiry:
    """The pipeline's warehouse, not connected yet: its first question finds out whether it is there.

    `on_query(purpose, bytes billed)` is told of each query sent, `on_error()` of each that was not
    answered; both from whichever thread asked. `ledger` keeps what each quota day was billed, in memory
    if it is not given.
    """
    meter = Meter(
        on_query=on_query,
        on_error=on_error,
        now=now,
        ledger=ledger or Passing(),
        quota_zone=pipeline.quota_timezone,
    )
    backend = _backend(pipeline, meter)
    return Inquiry(pipeline, backend, GameCalendar(pipeline, backend))


def _backend(pipeline: Pipeline, meter: Meter) -> Backend:
    """The lake's user does not pay for the import of Google's client, nor BigQuery's for DuckDB's."""
    source = pipeline.warehouse
    if source.kind == "bigquery":
        from daemon.warehouse.bigquery import BigQuery  # noqa: PLC0415

        return BigQuery(source, name=pipeline.name, directory=pipeline.path.parent, meter=meter)
    from daemon.warehouse.lake import Lake  # noqa: PLC0415

    root = pipeline.path.parent / (source.path or "")
    return Lake(root, timeout=source.query_timeout, meter=meter)
