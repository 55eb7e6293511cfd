"""The plugin of the kind `duckdb`."""

from __future__ import annotations

from typing import cast

from backfilld.daemon.warehouses.adapter import DescribedWarehouse, QueryHooks, WarehouseAdapter
from backfilld.daemon.warehouses.duckdb.settings import DuckDBSettings
from backfilld.state.pipeline.pipeline import Pipeline


def _open(pipeline: Pipeline, hooks: QueryHooks) -> DescribedWarehouse:
    from backfilld.daemon.warehouses.duckdb.backend import DuckDB  # noqa: PLC0415  BigQuery's users need no DuckDB
    from backfilld.daemon.warehouses.duckdb.snapshot import Snapshots  # noqa: PLC0415
    from backfilld.daemon.warehouses.duckdb.table_metadata import DuckDBCatalog  # noqa: PLC0415
    from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient  # noqa: PLC0415

    settings = cast(DuckDBSettings, pipeline.warehouse)
    snapshots = Snapshots(pipeline.path.parent / settings.file)
    backend = DuckDB(snapshots, settings.query_timeout, hooks)
    return WarehouseClient(pipeline, backend, DuckDBCatalog(snapshots))


ADAPTER = WarehouseAdapter(
    settings=DuckDBSettings,
    open=_open,
    remedy="check warehouse.file, its rights and which process writes it, then ask again",
    capabilities=frozenset({"cancel"}),
)
