"""The warehouse that a pipeline names."""

from __future__ import annotations

import time
from collections.abc import Callable

from backfilld.daemon.warehouses.adapter import Purpose
from backfilld.daemon.warehouses.backend import Backend, QueryHooks, noop
from backfilld.daemon.warehouses.bigquery.settings import BigQuerySettings
from backfilld.daemon.warehouses.budget import InMemoryLedger, Ledger
from backfilld.daemon.warehouses.calendar import CalendarReader
from backfilld.daemon.warehouses.catalog import Catalog
from backfilld.daemon.warehouses.client import WarehouseClient
from backfilld.daemon.warehouses.lake.settings import LakeSettings
from backfilld.state.pipeline.pipeline import Pipeline


def open_warehouse(
    pipeline: Pipeline,
    *,
    on_query: Callable[[Purpose, int], None] = noop,
    on_error: Callable[[], None] = noop,
    now: Callable[[], float] = time.time,
    ledger: Ledger | None = None,
) -> WarehouseClient:
    """The pipeline's warehouse, not connected yet: its first question finds out whether it is there.

    `on_query(purpose, bytes billed)` is told of each query sent, `on_error()` of each that was not
    answered; both from whichever thread asked. `ledger` keeps what each quota day was billed, in memory
    if it is not given.
    """
    meter = QueryHooks(
        on_query=on_query,
        on_error=on_error,
        now=now,
        ledger=ledger or InMemoryLedger(),
        quota_zone=pipeline.quota_timezone,
    )
    backend = _backend(pipeline, meter)
    return WarehouseClient(pipeline, backend, CalendarReader(pipeline, backend))


def _backend(pipeline: Pipeline, meter: QueryHooks) -> Backend:
    """The lake's user does not pay for the import of Google's client, nor BigQuery's for DuckDB's."""
    source = pipeline.warehouse
    if isinstance(source, BigQuerySettings):
        from backfilld.daemon.warehouses.bigquery.backend import BigQuery  # noqa: PLC0415

        return BigQuery(source, name=pipeline.name, directory=pipeline.path.parent, meter=meter)
    from backfilld.daemon.warehouses.lake.backend import Lake  # noqa: PLC0415

    if not isinstance(source, LakeSettings):
        raise TypeError(source.kind)
    root = pipeline.path.parent / source.path
    return Lake(root, timeout=source.query_timeout, meter=meter)


def open_catalog(pipeline: Pipeline) -> Catalog:
    """The catalog of the pipeline's warehouse, not connected yet."""
    source = pipeline.warehouse
    if isinstance(source, BigQuerySettings):
        from backfilld.daemon.warehouses.bigquery.catalog import BigQueryCatalog  # noqa: PLC0415

        meter = QueryHooks(now=time.time)
        return BigQueryCatalog(source, name=pipeline.name, directory=pipeline.path.parent, meter=meter)
    from backfilld.daemon.warehouses.lake.catalog import LakeCatalog  # noqa: PLC0415

    if not isinstance(source, LakeSettings):
        raise TypeError(source.kind)
    return LakeCatalog(pipeline.path.parent / source.path)
