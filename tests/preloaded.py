"""What every forked process has imported; its collections of garbage leave that out."""

# ruff: noqa: F401
import gc

import apscheduler.triggers.interval
import distributed.cli.dask_scheduler
import distributed.cli.dask_worker
import sqlglot.dialects.duckdb

import backfilld.api.cli.commands.serve
import backfilld.api.cli.main
import backfilld.daemon.executors.local.executor
import backfilld.daemon.executors.local.plugin
import backfilld.daemon.warehouses.lake.backend
import backfilld.daemon.warehouses.lake.plugin
import backfilld.daemon.warehouses.lake.table_metadata
import backfilld.daemon.warehouses.lake.write_stamps
import backfilld.daemon.warehouses.sql.fragment_validation
import backfilld.daemon.warehouses.sql.warehouse
import tests.fork_server
from backfilld.daemon.adapters import EXECUTORS, WAREHOUSES, kinds_of

for group in (EXECUTORS, WAREHOUSES):
    kinds_of(group)

gc.collect()
gc.freeze()
