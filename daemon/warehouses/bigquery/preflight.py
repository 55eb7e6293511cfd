"""Preflight checks of BigQuery alone: where datasets lie, and the options of partitions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import cast

from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.warehouses.adapter import PreflightCheck, PreflightScope, QueryError, TableInfo
from backfilld.daemon.warehouses.bigquery.settings import BigQuerySettings

DAY = 86_400.0

LocationOf = Callable[[str], str | None]
"""The location of a table's dataset; None if the dataset does not exist."""


def checks(location_of: LocationOf) -> Sequence[PreflightCheck]:
    """The checks, in the order in which they run."""
    return (
        PreflightCheck(name="location", title="location", run=partial(location, location_of=location_of)),
        PreflightCheck(name="datasets", title="datasets", run=partial(datasets, location_of=location_of)),
        PreflightCheck(name="partitions", title="partitions", run=partitions),
    )


def location(scope: PreflightScope, *, location_of: LocationOf) -> Iterator[Finding]:
    """Every dataset lies where the pipeline file says: a query elsewhere finds nothing."""
    stated = cast(BigQuerySettings, scope.pipeline.warehouse).location
    known = {dataset: place for dataset, place in _locations(scope, location_of).items() if place}
    wrong = {name: place for name, place in known.items() if stated and place.lower() != stated.lower()}
    for name, place in wrong.items():
        hint = f'write location = "{place}" under [warehouse]'
        yield failed(f"{name} lies in {place}, the pipeline file says {stated}", hint)
    if not stated and known:
        places = ", ".join(sorted(set(known.values())))
        yield warned("the pipeline file states no location", f"the datasets lie in {places}: state it")
    elif not wrong:
        yield passed(f"all datasets lie in {stated}")


def datasets(scope: PreflightScope, *, location_of: LocationOf) -> Iterator[Finding]:
    """Every dataset exists."""
    known = _locations(scope, location_of)
    for dataset, place in known.items():
        if place is None:
            hint = "correct its name in the pipeline file, or create it"
            yield failed(f"dataset {dataset} does not exist", hint)
    there = sum(place is not None for place in known.values())
    yield passed(f"{there} of {len(known)} datasets are there")


def partitions(scope: PreflightScope) -> Iterator[Finding]:
    """What is written stays, and queries are accepted: expiration and required filters."""
    named = dict.fromkeys((p.table, p.date_column) for p in scope.pipeline.processors.values())
    if history := scope.pipeline.history:
        named[history.table, history.date] = None
    findings = [
        finding
        for table, column in named
        if isinstance(info := scope.tables[table], TableInfo)
        for finding in (*_expiring(scope, table, column, info), *_unfiltered(table, column, info))
    ]
    yield from findings
    if not findings:
        yield passed(f"partitions keep what is written, back to {scope.start}")


def _locations(scope: PreflightScope, location_of: LocationOf) -> Mapping[str, str | None]:
    """Datasets and their locations; empty where the metadata may not be read."""
    known: dict[str, str | None] = {}
    for dataset, table in {table.rpartition(".")[0]: table for table in scope.tables}.items():
        try:
            known[dataset] = location_of(table)
        except QueryError:
            known[dataset] = ""
    return known


def _expiring(scope: PreflightScope, table: str, column: str, info: TableInfo) -> Iterator[Finding]:
    if info.expiration_seconds is None:
        return
    days = info.expiration_seconds / DAY
    if info.partition_column != column.lower():
        by = info.partition_column or "the time of loading"
        hint = "remove partition_expiration_days, or watch the finished dates"
        yield warned(f"{table} loses partitions {days:g} days after {by}", hint)
    elif scope.start < scope.today - dt.timedelta(days=days):
        hint = f"ALTER TABLE {table} SET OPTIONS (partition_expiration_days = NULL) before the backfill"
        yield failed(
            f"{table} loses partitions after {days:g} days: rows of {scope.start} vanish at once", hint
        )


def _unfiltered(table: str, column: str, info: TableInfo) -> Iterator[Finding]:
    if info.require_filter and info.partition_column not in (None, column.lower()):
        line = f"{table} refuses queries that do not name {info.partition_column}; ours name {column}"
        yield failed(line, f'write date_column = "{info.partition_column}"')
