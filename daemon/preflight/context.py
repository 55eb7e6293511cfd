"""What the checks look at: one pipeline, its warehouse and the dates that shall be filled."""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from backfilld.daemon.command_inspection import JobProgram, program
from backfilld.daemon.preflight.python_source import NotPython, Options, options, parsed
from backfilld.daemon.preflight.subprocesses import CommandResult
from backfilld.daemon.reports.snapshot import Snapshot, take_snapshot
from backfilld.daemon.warehouses.adapter import Catalog, QueryError, TableInfo, Warehouse
from backfilld.state.pipeline.adapters import LOCAL
from backfilld.state.pipeline.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class Script:
    """A job's program and, where it is Python, its syntax tree."""

    program: JobProgram
    tree: ast.Module | None = None
    broken: NotPython | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, kw_only=True)
class PreflightContext:
    """Everything a check may look at. What several checks need is asked for once."""

    pipeline: Pipeline
    warehouse: Warehouse
    catalog: Catalog
    start: dt.date
    end: dt.date
    state_dir: Path | None
    database_url: str | None
    now: float
    quick: bool = False
    helps: dict[tuple[tuple[str, ...], Path], CommandResult] = field(default_factory=dict)
    """What `--help` of a command printed in a directory, once it was asked for."""

    @property
    def today(self) -> dt.date:
        """The date of `now`."""
        return dt.datetime.fromtimestamp(self.now, dt.UTC).date()

    @cached_property
    def snapshot(self) -> Snapshot:
        """What calendar and warehouse say of the dates.

        Raises:
            WarehouseError: they could not be asked.
        """
        return take_snapshot(
            self.pipeline, self.warehouse, self.start, self.end, now=self.now, purpose="preflight"
        )

    @cached_property
    def tables(self) -> Mapping[str, TableInfo | QueryError | None]:
        """Every table that the pipeline names, as the catalog describes it; None for one that is not there.

        Raises:
            WarehouseError: nothing can be asked now.
        """
        names = dict.fromkeys(p.table for p in self.pipeline.processors.values())
        if self.pipeline.history:
            names[self.pipeline.history.table] = None
        return {name: self._described(name) for name in names}

    @cached_property
    def scripts(self) -> Mapping[str, Script]:
        """What each processor's job starts; of other executors than the local one nobody here knows."""
        local = (p for p in self.pipeline.processors.values() if self.pipeline.executor_of(p).kind == LOCAL)
        return {processor.name: _script(program(self.pipeline, processor)) for processor in local}

    def _described(self, table: str) -> TableInfo | QueryError | None:
        try:
            return self.catalog.describe(table)
        except QueryError as refusal:
            return refusal


def _script(found: JobProgram) -> Script:
    if found.problem or not found.python or found.script is None:
        return Script(program=found)
    try:
        tree = parsed(found.script)
    except NotPython as error:
        return Script(program=found, broken=error)
    return Script(program=found, tree=tree, options=options(tree))
