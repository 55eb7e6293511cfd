"""A kind of warehouse of another package: a DuckDB file under another name."""

from backfilld.daemon.warehouses.adapter import DescribedWarehouse, QueryHooks, WarehouseAdapter
from backfilld.daemon.warehouses.duckdb.plugin import ADAPTER as DUCKDB
from backfilld.daemon.warehouses.duckdb.settings import DuckDBSettings
from backfilld.state.pipeline.pipeline import Pipeline


class DuckDBFile(DuckDBSettings):
    """Its settings, which are no adapter."""


def _open(pipeline: Pipeline, hooks: QueryHooks) -> DescribedWarehouse:
    return DUCKDB.open(pipeline, hooks)


ADAPTER = WarehouseAdapter(settings=DuckDBFile, open=_open, remedy="check warehouse.file, then ask again")
