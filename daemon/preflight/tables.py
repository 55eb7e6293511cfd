"""Checks of the warehouse: connection, location, tables, and every column that the pipeline names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.backend import QueryError
from backfilld.daemon.warehouses.bigquery.settings import BigQuerySettings
from backfilld.daemon.warehouses.catalog import TableInfo, columns_in
from backfilld.state.formatting import join_truncated
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.sections import HistorySettings

DAY = 86_400.0


def warehouse(context: PreflightContext) -> Iterator[Finding]:
    """The warehouse answers with these credentials, project or directory."""
    yield passed(f"{context.catalog.describe_connection()} answers")


def location(context: PreflightContext) -> Iterator[Finding]:
    """Every dataset is in the pipeline's location; a query in another location does not see it."""
    settings = context.pipeline.warehouse
    stated = settings.location if isinstance(settings, BigQuerySettings) else None
    found = {dataset: where for dataset, where in _datasets(context) if where}
    wrong = {name: where for name, where in found.items() if stated and where.lower() != stated.lower()}
    for name, where in wrong.items():
        hint = f'write location = "{where}" under [warehouse]'
        yield failed(f"{name} lies in {where}, the pipeline file says {stated}", hint)
    if not stated and found:
        places = ", ".join(sorted(set(found.values())))
        yield warned("the pipeline file states no location", f"the datasets lie in {places}: state it")
    elif not wrong:
        yield passed(f"all datasets lie in {stated}" if found else "a lake has no location")


def datasets(context: PreflightContext) -> Iterator[Finding]:
    """Every dataset exists."""
    found = dict(_datasets(context))
    yield from _absent(context, "dataset", [dataset for dataset, where in found.items() if where is None])
    yield passed(f"{sum(where is not None for where in found.values())} of {len(found)} datasets are there")


def tables(context: PreflightContext) -> Iterator[Finding]:
    """Every table exists and can be read."""
    for name, info in context.tables.items():
        if isinstance(info, QueryError):
            yield failed(
                f"table {name}: {info}",
                "give the account the right to read it, or repair its cause",
            )
    yield from _absent(context, "table", [name for name, info in context.tables.items() if info is None])
    there = sum(isinstance(info, TableInfo) for info in context.tables.values())
    yield passed(f"{there} of {len(context.tables)} tables are there")


def columns(context: PreflightContext) -> Iterator[Finding]:
    """Every column that the pipeline names is in its table."""
    checked = 0
    for processor in context.pipeline.processors.values():
        info = context.tables[processor.table]
        if isinstance(info, TableInfo):
            checked += 1
            yield from _missing_columns(processor, info)
    history = context.pipeline.history
    if history and isinstance(info := context.tables[history.table], TableInfo):
        checked += 1
        yield from _missing_history(history, info)
    yield passed(f"checked {checked} tables")


def partitions(context: PreflightContext) -> Iterator[Finding]:
    """Partitions do not expire during the backfill, and required filters are met."""
    named = dict.fromkeys((p.table, p.date_column) for p in context.pipeline.processors.values())
    if history := context.pipeline.history:
        named[history.table, history.date] = None
    findings = [
        finding
        for table, column in named
        if isinstance(info := context.tables[table], TableInfo)
        for finding in (*_expiring(context, table, column, info), *_unfiltered(table, column, info))
    ]
    yield from findings
    if not findings:
        yield passed(f"partitions keep what is written, back to {context.start}")


def _datasets(context: PreflightContext) -> Iterator[tuple[str, str | None]]:
    """Each dataset with its location; None where it does not exist, empty where that is unknown."""
    firsts = {table.rpartition(".")[0]: table for table in context.tables}
    for dataset, table in firsts.items():
        try:
            yield dataset, context.catalog.location(table)
        except QueryError:
            yield dataset, ""


def _absent(context: PreflightContext, what: str, names: Sequence[str]) -> Iterator[Finding]:
    """Tables of a lake are created by the first job that writes them; BigQuery's must exist."""
    if names and context.pipeline.warehouse.kind == "lake":
        absent = f"1 {what} is" if len(names) == 1 else f"{len(names)} {what}s are"
        yield passed(f"{absent} not there yet; jobs create what they write")
        return
    for name in names:
        yield failed(f"{what} {name} does not exist", "correct its name in the pipeline file, or create it")


def _missing_columns(processor: Processor, info: TableInfo) -> Iterator[Finding]:
    expect = processor.expect
    named = {processor.date_column: "date_column"}
    for key, rule in expect.rules.items():
        named |= dict.fromkeys(rule.column_names(), f"expect.{key}")
    if expect.quality:
        try:
            named |= dict.fromkeys(columns_in(expect.quality.where), "expect.quality")
        except QueryError as error:
            yield failed(f"{processor.name}: expect.quality is no SQL: {error}", "correct the predicate")
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


def _expiring(context: PreflightContext, table: str, column: str, info: TableInfo) -> Iterator[Finding]:
    if info.expiration_seconds is None:
        return
    days = info.expiration_seconds / DAY
    if info.partition_column != column.lower():
        by = info.partition_column or "the time of loading"
        hint = "remove partition_expiration_days, or watch the finished dates"
        yield warned(f"{table} loses partitions {days:g} days after {by}", hint)
    elif context.start < context.today - dt.timedelta(days=days):
        hint = f"ALTER TABLE {table} SET OPTIONS (partition_expiration_days = NULL) before the backfill"
        yield failed(
            f"{table} loses partitions after {days:g} days: rows of {context.start} vanish at once", hint
        )


def _unfiltered(table: str, column: str, info: TableInfo) -> Iterator[Finding]:
    if info.require_filter and info.partition_column not in (None, column.lower()):
        line = f"{table} refuses queries that do not name {info.partition_column}; ours name {column}"
        yield failed(line, f'write date_column = "{info.partition_column}"')


def _some(columns: Iterable[str]) -> str:
    return join_truncated(sorted(columns), 12)
