"""What every forked process has imported; its collections of garbage leave that out."""

# ruff: noqa: F401
import gc

import apscheduler.triggers.interval
import distributed.cli.dask_scheduler
import distributed.cli.dask_worker
import sqlglot.dialects.duckdb

import backfilld.api.cli.commands.serve
import backfilld.daemon.executors.local.adapter
import backfilld.daemon.warehouses.lake.backend
import backfilld.daemon.warehouses.lake.catalog
import tests.fork_server

gc.collect()
gc.freeze()
