"""Checks of the warehouse: connection, location, tables, and every column that the pipeline names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from backfilld.daemon.adapters import warehouse_adapter
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.adapter import QueryError, TableInfo
from backfilld.state.formatting import join_truncated, pluralize
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.run_history_settings import HistorySettings


def warehouse(context: PreflightContext) -> Iterator[Finding]:
    """The warehouse answers with these credentials, project or directory."""
    yield passed(f"{context.catalog.describe_connection()} answers")


def tables(context: PreflightContext) -> Iterator[Finding]:
    """Every table exists and can be read."""
    for name, info in context.tables.items():
        if isinstance(info, QueryError):
            yield failed(
                f"table {name}: {info}",
                "give the account the right to read it, or repair its cause",
            )
    yield from _absent(context, [name for name, info in context.tables.items() if info is None])
    there = sum(isinstance(info, TableInfo) for info in context.tables.values())
    yield passed(f"{there} of {len(context.tables)} tables are there")


def columns(context: PreflightContext) -> Iterator[Finding]:
    """Every column that the pipeline names is in its table."""
    sound = 0
    for processor in context.pipeline.processors.values():
        info = context.tables[processor.table]
        if isinstance(info, TableInfo):
            missing = [*_missing_columns(processor, info), *_mistaken_dates(processor, info)]
            sound += not missing
            yield from missing or _refused_rules(context, processor)
    history = context.pipeline.history
    if history and isinstance(info := context.tables[history.table], TableInfo):
        missing = list(_missing_history(history, info))
        sound += not missing
        yield from missing
    yield passed(f"{pluralize(sound, 'table has', 'tables have')} the columns that the pipeline file names")


def _absent(context: PreflightContext, names: Sequence[str]) -> Iterator[Finding]:
    """Tables that do not exist, unless the first job that writes them creates them."""
    missing = list(names)
    if "implicit_tables" in warehouse_adapter(context.pipeline.warehouse.kind).capabilities:
        missing = [name for name in names if name in context.key_tables]
        created = len(names) - len(missing)
        if created:
            absent = pluralize(created, "table is", "tables are")
            yield passed(f"{absent} not there yet; jobs create what they write")
    for name in missing:
        yield failed(f"table {name} does not exist", "correct its name in the pipeline file, or create it")


def _missing_columns(processor: Processor, info: TableInfo) -> Iterator[Finding]:
    expect = processor.expect
    columns = info.columns | ({processor.date_column.lower()} if info.names_dates else set())
    named = {processor.date_column: "date_column"}
    for key, rule in expect.rules.items():
        named |= dict.fromkeys(rule.column_names(), f"expect.{key}")
    for column, key in named.items():
        if column.lower() not in columns:
            line = f"{processor.table} has no column {column}, which {processor.name}.{key} names"
            yield failed(line, f"it has {_some(info.columns)}")


def _mistaken_dates(processor: Processor, info: TableInfo) -> Iterator[Finding]:
    column = f"{processor.table}.{processor.date_column}"
    kind = info.time_columns.get(processor.date_column.lower())
    if kind and processor.date_timezone is None:
        line = f"{column} is a {kind.upper()}, of which {processor.name} does not say where its days begin"
        yield failed(line, 'state date_timezone, such as "America/New_York"')


def _refused_rules(context: PreflightContext, processor: Processor) -> Iterator[Finding]:
    """What the warehouse says of the query by which gates judge: the two cannot disagree."""
    if not processor.expect.rules and not processor.expect.empty:
        return
    try:
        problem = context.warehouse.rule_problem(processor.name, context.start)
    except QueryError as error:
        line, _, remedy = str(error).rpartition("; ")
        yield failed(f"{processor.table} cannot be queried: {line}", remedy)
        return
    if problem:
        stated = (f"expect.{key}" for key in (*processor.expect.rules, "empty"))
        key = next((key for key in stated if problem.startswith(f"{key}: ")), "")
        problem = problem.removeprefix(f"{key}: ")
        key = key or ("expect.quality.where" if processor.expect.quality else "expect")
        line = f"{processor.table} cannot be queried for {processor.name}.{key}: {problem}"
        yield failed(line, f"correct {key}, or the table")


def _missing_history(history: HistorySettings, info: TableInfo) -> Iterator[Finding]:
    required = (history.date, history.processor, history.status, history.started_at)
    optional = (history.run_id, history.ended_at, history.detail, history.controller or history.date)
    hint = f"name it under [history]; the table has {_some(info.columns)}"
    for column in required:
        if column.lower() not in info.columns:
            yield failed(f"{history.table} has no column {column}", hint)
    for column in optional:
        if column.lower() not in info.columns:
            yield warned(f"{history.table} has no column {column}; it is not used", hint)


def _some(columns: Iterable[str]) -> str:
    return join_truncated(sorted(columns), 12)
