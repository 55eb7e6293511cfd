"""The plugin of the kind `lake`."""

from __future__ import annotations

from typing import cast

from backfilld.daemon.warehouses.adapter import DescribedWarehouse, QueryHooks, WarehouseAdapter
from backfilld.daemon.warehouses.lake.settings import LakeSettings
from backfilld.state.pipeline.pipeline import Pipeline


def _open(pipeline: Pipeline, hooks: QueryHooks) -> DescribedWarehouse:
    from backfilld.daemon.warehouses.lake.backend import Lake  # noqa: PLC0415  BigQuery's users need no DuckDB
    from backfilld.daemon.warehouses.lake.table_metadata import LakeCatalog  # noqa: PLC0415
    from backfilld.daemon.warehouses.lake.unread_files import unread_files  # noqa: PLC0415
    from backfilld.daemon.warehouses.lake.write_stamps import LakeStamps  # noqa: PLC0415
    from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient  # noqa: PLC0415

    settings = cast(LakeSettings, pipeline.warehouse)
    root = pipeline.path.parent / settings.path
    backend = Lake(
        root,
        dialect=settings.dialect,
        date_columns=frozenset(processor.date_column.lower() for processor in pipeline.processors.values()),
        timeout=settings.query_timeout,
        hooks=hooks,
    )
    return WarehouseClient(pipeline, backend, LakeCatalog(root), LakeStamps(root), unread_files(root))


ADAPTER = WarehouseAdapter(
    settings=LakeSettings,
    open=_open,
    remedy="make the directory, or correct its path, then ask again",
    capabilities=frozenset({"cancel", "write_stamp", "implicit_tables"}),
)
