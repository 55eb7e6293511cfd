"""The plugin of the kind `postgresql`."""

from __future__ import annotations

from typing import cast

from backfilld.daemon.warehouses.adapter import (
    DescribedWarehouse,
    QueryHooks,
    WarehouseAdapter,
    WarehouseError,
)
from backfilld.daemon.warehouses.postgresql.settings import PostgresqlSettings
from backfilld.state.pipeline.pipeline import Pipeline


def _open(pipeline: Pipeline, hooks: QueryHooks) -> DescribedWarehouse:
    try:
        from backfilld.daemon.warehouses.postgresql.backend import Postgresql  # noqa: PLC0415  an extra has it
    except ImportError as error:
        remedy = "pip install 'backfilld[postgres]'"
        raise WarehouseError(f"PostgreSQL needs its driver ({error}): {remedy}") from error
    from backfilld.daemon.warehouses.postgresql.row_security import hidden_rows  # noqa: PLC0415
    from backfilld.daemon.warehouses.postgresql.table_metadata import PostgresqlCatalog  # noqa: PLC0415
    from backfilld.daemon.warehouses.postgresql.write_stamps import PostgresqlStamps  # noqa: PLC0415
    from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient  # noqa: PLC0415

    backend = Postgresql(cast(PostgresqlSettings, pipeline.warehouse), hooks)
    catalog, stamps = PostgresqlCatalog(backend), PostgresqlStamps(backend)
    return WarehouseClient(pipeline, backend, catalog, stamps, hidden_rows(backend))


ADAPTER = WarehouseAdapter(
    settings=PostgresqlSettings,
    open=_open,
    remedy="check the URL, the password (PGPASSWORD, PGPASSFILE or url_env) and the server, then ask again",
    capabilities=frozenset({"cancel", "write_stamp"}),
)
