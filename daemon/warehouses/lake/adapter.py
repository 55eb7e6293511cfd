"""The adapter of the kind `lake`."""

from __future__ import annotations

from backfilld.daemon.warehouses.adapter import WarehouseAdapter
from backfilld.daemon.warehouses.lake.settings import LakeSettings

ADAPTER = WarehouseAdapter(settings=LakeSettings)
