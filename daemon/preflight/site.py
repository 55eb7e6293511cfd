"""What the checks look at: one pipeline, its warehouse and the dates that shall be filled."""

from __future__ import annotations

import ast
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from daemon.preflight.probes import Ran
from daemon.preflight.source import NotPython, Options, options, parsed
from daemon.reports.survey import Survey, survey
from daemon.scripts import Program, program
from daemon.warehouse import Warehouse
from daemon.warehouse.backend import Refusal
from daemon.warehouse.catalog import Catalog, TableInfo
from state.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class Script:
    """A job's program and, where it is Python, its syntax tree."""

    program: Program
    tree: ast.Module | None = None
    broken: NotPython | None = None
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, kw_only=True)
class Site:
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
    helps: dict[tuple[tuple[str, ...], Path], Ran] = field(default_factory=dict)
    """What `--help` of a command printed in a directory, once it was asked for."""

    @property
    def today(self) -> dt.date:
        """The date of `now`."""
        return dt.datetime.fromtimestamp(self.now, dt.UTC).date()

    @cached_property
    def survey(self) -> Survey:
        """What calendar and warehouse say of the dates.

        Raises:
            WarehouseError: they could not be asked.
        """
        return survey(self.pipeline, self.warehouse, self.start, self.end, now=self.now, purpose="preflight")

    @cached_property
    def tables(self) -> Mapping[str, TableInfo | Refusal | None]:
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
        local = (p for p in self.pipeline.processors.values() if p.executor == "local")
        return {processor.name: _script(program(self.pipeline, processor)) for processor in local}

    def _described(self, table: str) -> TableInfo | Refusal | None:
        try:
            return self.catalog.describe(table)
        except Refusal as refusal:
            return refusal


def _script(found: Program) -> Script:
    if found.problem or not found.python or found.script is None:
        return Script(program=found)
    try:
        tree = parsed(found.script)
    except NotPython as error:
        return Script(program=found, broken=error)
    return Script(program=found, tree=tree, options=options(tree))
