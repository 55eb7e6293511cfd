"""Preflight checks of PostgreSQL alone: the spelling of columns, and indexes on their dates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.adapter import PreflightCheck, PreflightScope, TableInfo
from backfilld.daemon.warehouses.postgresql.pg_catalog_queries import TABLES, Relation
from backfilld.state.pipeline.pipeline import Pipeline

LARGE = 100_000
"""Rows from which on reading a whole table for one date is worth a warning."""

RelationOf = Callable[[str], Relation | None]
"""A table by its name in the pipeline file; None if it does not exist."""


def checks(relation_of: RelationOf) -> tuple[PreflightCheck, ...]:
    """The checks, in the order in which they run."""
    return (
        PreflightCheck(
            name="spelling", title="spelling of columns", run=partial(spelling, relation_of=relation_of)
        ),
        PreflightCheck(name="indexes", title="indexes", run=partial(indexes, relation_of=relation_of)),
    )


def spelling(scope: PreflightScope, *, relation_of: RelationOf) -> Iterator[Finding]:
    """Columns are spelt as they are stored: queries quote them, so that `Game_ID` is not `game_id`."""
    findings, named = [], _columns(scope.pipeline)
    for table, relation in _relations(scope, relation_of).items():
        stored = {name.lower(): name for name in relation.columns}
        for column in named[table]:
            name = stored.get(column.lower(), column)
            if column not in relation.columns and name != column:
                findings.append(failed(f"{table} has the column {name}, not {column}", f"write {name}"))
    yield from findings
    if not findings:
        yield passed("columns are spelt as they are stored")


def indexes(scope: PreflightScope, *, relation_of: RelationOf) -> Iterator[Finding]:
    """A query about one date does not read the whole of a large table."""
    relations, findings = _relations(scope, relation_of), []
    dates = dict.fromkeys((p.table, p.date_column) for p in scope.pipeline.processors.values())
    if history := scope.pipeline.history:
        dates[history.table, history.date] = None
    for table, column in dates:
        relation = relations.get(table)
        if relation is None or relation.kind not in TABLES or relation.rows < LARGE:
            continue
        if column not in relation.indexed and column != relation.partition_column:
            line = f"{table} has about {relation.rows:,.0f} rows, all of which a query about one date reads"
            findings.append(warned(line, f"CREATE INDEX ON {table} ({column})"))
    yield from findings
    if not findings:
        yield passed(f"no table of {LARGE:,} rows or more lacks an index on its dates")


def _relations(scope: PreflightScope, relation_of: RelationOf) -> Mapping[str, Relation]:
    """The tables of the pipeline file that exist and can be read."""
    readable = [table for table, info in scope.tables.items() if isinstance(info, TableInfo)]
    relations = {table: relation_of(table) for table in readable}
    return {table: relation for table, relation in relations.items() if relation}


def _columns(pipeline: Pipeline) -> Mapping[str, list[str]]:
    """The columns that the pipeline file names, by table."""
    named: dict[str, list[str]] = {}
    for processor in pipeline.processors.values():
        rules = [column for rule in processor.expect.rules.values() for column in rule.column_names()]
        named.setdefault(processor.table, []).extend(dict.fromkeys([processor.date_column, *rules]))
    if history := pipeline.history:
        columns = (history.date, history.processor, history.status, history.started_at, history.run_id)
        more = (history.ended_at, history.detail, *([history.controller] if history.controller else []))
        named.setdefault(history.table, []).extend([*columns, *more])
    return named
