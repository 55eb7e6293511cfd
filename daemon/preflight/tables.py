"""Checks of the warehouse's tables: reached, in the right place, with every column the pipeline names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.adapter import QueryError, TableInfo
from backfilld.daemon.warehouses.sql.user_sql import columns_in
from backfilld.state.formatting import join_truncated
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.sections import HistorySettings


def warehouse(site: PreflightContext) -> Iterator[Finding]:
    """The warehouse answers, and answers us: credentials, project, directory."""
    yield passed(f"{site.catalog.describe_connection()} answers")


def tables(site: PreflightContext) -> Iterator[Finding]:
    """Every table is there and may be looked at."""
    for name, info in site.tables.items():
        if isinstance(info, QueryError):
            yield failed(
                f"table {name}: {info}", "give the account the right to read it, or mend what is told"
            )
    yield from _absent(site, [name for name, info in site.tables.items() if info is None])
    there = sum(isinstance(info, TableInfo) for info in site.tables.values())
    yield passed(f"{there} of {len(site.tables)} tables are there")


def columns(site: PreflightContext) -> Iterator[Finding]:
    """Every column that the pipeline names is in its table."""
    looked_at = 0
    for processor in site.pipeline.processors.values():
        info = site.tables[processor.table]
        if isinstance(info, TableInfo):
            looked_at += 1
            yield from _missing_columns(processor, info)
    history = site.pipeline.history
    if history and isinstance(info := site.tables[history.table], TableInfo):
        looked_at += 1
        yield from _missing_history(history, info)
    yield passed(f"looked at {looked_at} tables")


def _absent(site: PreflightContext, names: Sequence[str]) -> Iterator[Finding]:
    """Tables that do not exist, unless the first job that writes them creates them."""
    if names and "implicit_tables" in warehouse_adapter(site.pipeline.warehouse.kind).capabilities:
        absent = "1 table is" if len(names) == 1 else f"{len(names)} tables are"
        yield passed(f"{absent} not there yet; jobs make what they write")
        return
    for name in names:
        yield failed(f"table {name} does not exist", "correct its name in the pipeline file, or create it")


def _missing_columns(processor: Processor, info: TableInfo) -> Iterator[Finding]:
    expect = processor.expect
    named = {processor.date_column: "date_column"}
    for key, rule in expect.rules.items():
        named |= dict.fromkeys(rule.column_names(), f"expect.{key}")
    if expect.quality:
        try:
            named |= dict.fromkeys(columns_in(expect.quality.where), "expect.quality")
        except QueryError as refusal:
            yield failed(f"{processor.name}: expect.quality is no SQL: {refusal}", "correct the predicate")
    for column, key in named.items():
        if column.lower() not in info.columns:
            line = f"{processor.table} has no column {column}, which {processor.name}.{key} names"
            yield failed(line, f"it has {_some(info.columns)}")


def _missing_history(history: HistorySettings, info: TableInfo) -> Iterator[Finding]:
    required = (history.date, history.processor, history.status, history.started_at)
    optional = (history.run_id, history.ended_at, history.detail, history.controller or history.date)
    hint = f"name it under [history]; the table has {_some(info.columns)}"
    for column in required:
        if column.lower() not in info.columns:
            yield failed(f"{history.table} has no column {column}", hint)
    for column in optional:
        if column.lower() not in info.columns:
            yield warned(f"{history.table} has no column {column}; it is done without", hint)


def _some(columns: Iterable[str]) -> str:
    return join_truncated(sorted(columns), 12)
