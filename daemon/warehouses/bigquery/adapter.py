"""The adapter of the kind `bigquery`."""

from __future__ import annotations

from backfilld.daemon.warehouses.adapter import WarehouseAdapter
from backfilld.daemon.warehouses.bigquery.settings import BigQuerySettings

ADAPTER = WarehouseAdapter(settings=BigQuerySettings)
