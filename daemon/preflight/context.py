"""What the checks of preflight share: a pipeline, its warehouse and a range of dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from backfilld.daemon.preflight.job_script_options import Scripts
from backfilld.daemon.reports.current_verdicts import Snapshot, take_snapshot
from backfilld.daemon.warehouses.adapter import Catalog, QueryError, TableInfo, Warehouse
from backfilld.state.pipeline.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class PreflightContext:
    """The inputs of the checks. What several checks need is queried once."""

    pipeline: Pipeline
    warehouse: Warehouse
    catalog: Catalog
    start: dt.date
    end: dt.date
    state_dir: Path | None
    database_url: str | None
    now: float
    quick: bool = False

    @property
    def today(self) -> dt.date:
        """The date of `now`."""
        return dt.datetime.fromtimestamp(self.now, dt.UTC).date()

    @cached_property
    def snapshot(self) -> Snapshot:
        """The dates in calendar and warehouse.

        Raises:
            WarehouseError: calendar or warehouse could not be queried.
        """
        return take_snapshot(
            self.pipeline, self.warehouse, self.start, self.end, now=self.now, purpose="preflight"
        )

    @cached_property
    def tables(self) -> Mapping[str, TableInfo | QueryError | None]:
        """The catalog's description of every table of the pipeline; None for a table that does not exist.

        Raises:
            WarehouseError: the catalog could not be queried.
        """
        names = dict.fromkeys([*(p.table for p in self.pipeline.processors.values()), *self.key_tables])
        if self.pipeline.history:
            names[self.pipeline.history.table] = None
        return {name: self._describe(name) for name in names}

    @property
    def key_tables(self) -> Sequence[str]:
        """The tables that only `expect.keys` names; no job of the pipeline writes them."""
        rules = (p.expect.keys for p in self.pipeline.processors.values())
        return [keys.table for keys in rules if keys and keys.table]

    @cached_property
    def scripts(self) -> Scripts:
        """The scripts of the local jobs."""
        return Scripts(pipeline=self.pipeline)

    def _describe(self, table: str) -> TableInfo | QueryError | None:
        try:
            return self.catalog.describe(table)
        except QueryError as error:
            return error
