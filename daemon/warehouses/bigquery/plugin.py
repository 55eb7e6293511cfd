"""The plugin of the kind `bigquery`."""

from __future__ import annotations

from typing import cast

from backfilld.daemon.warehouses.adapter import DescribedWarehouse, QueryHooks, WarehouseAdapter
from backfilld.daemon.warehouses.bigquery.settings import BigQuerySettings
from backfilld.state.pipeline.pipeline import Pipeline


def _open(pipeline: Pipeline, hooks: QueryHooks) -> DescribedWarehouse:
    from backfilld.daemon.warehouses.bigquery.backend import BigQuery  # noqa: PLC0415  Google's client is slow
    from backfilld.daemon.warehouses.bigquery.table_metadata import BigQueryCatalog  # noqa: PLC0415
    from backfilld.daemon.warehouses.bigquery.write_stamps import BigQueryStamps  # noqa: PLC0415
    from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient  # noqa: PLC0415

    settings = cast(BigQuerySettings, pipeline.warehouse)
    backend = BigQuery(settings, name=pipeline.name, directory=pipeline.path.parent, hooks=hooks)
    catalog = BigQueryCatalog(backend, settings)
    return WarehouseClient(pipeline, backend, catalog, BigQueryStamps(backend, catalog, settings.project))


ADAPTER = WarehouseAdapter(
    settings=BigQuerySettings,
    open=_open,
    remedy="check credentials, project, location and network, then ask again",
    capabilities=frozenset({"price", "cancel", "write_stamp"}),
)
