"""A kind of warehouse of another package: a DuckDB file, whose schemas are the datasets."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import duckdb
from pydantic import Field

from backfilld.daemon.preflight.findings import passed
from backfilld.daemon.warehouses.adapter import (
    PreflightCheck,
    Purpose,
    QueryError,
    QueryHooks,
    TableInfo,
    TimeType,
    WarehouseAdapter,
    WarehouseError,
)
from backfilld.daemon.warehouses.sql.backend import require_dates
from backfilld.daemon.warehouses.sql.pipeline_sql import with_parameters, with_user_sql
from backfilld.daemon.warehouses.sql.queries import Query
from backfilld.daemon.warehouses.sql.warehouse import WarehouseClient
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.sections import WarehouseSettings

_TIMES: Mapping[str, TimeType] = {"TIMESTAMP": "datetime", "TIMESTAMP WITH TIME ZONE": "timestamp"}


class DuckDBFileSettings(WarehouseSettings):
    """A DuckDB file."""

    file: str = Field(min_length=1)
    """The file, relative to the pipeline file."""


class DuckDBFile:
    """Backend and catalog in one: every query opens the file for itself, to read."""

    def __init__(self, path: Path, hooks: QueryHooks) -> None:
        self._path = path
        self._hooks = hooks

    def query(self, query: Query, *, purpose: Purpose) -> list[Mapping[str, Any]]:
        texts = []
        with self._errors(), self._connected() as connection:
            for select in query.selects:
                tree = with_user_sql(select.statement.tree, lambda text: with_parameters(text, "$"))
                texts.append(tree.sql("duckdb"))
            self._hooks.on_query(purpose, 0)
            text = " UNION ALL ".join(texts)
            params = {name: _listed(value) for name, value in query.params.items() if f"${name}" in text}
            answer = connection.execute(text, params)
            for name, kind, *_ in answer.description or ():
                if name == "date":
                    require_dates(str(kind))
            names = [column[0] for column in answer.description or ()]
            return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    def estimate_bytes(self, query: Query) -> int:
        del query
        return 0

    def check(self, query: Query) -> None:
        self.query(query, purpose="preflight")

    def describe_connection(self) -> str:
        with self._connected():
            return f"file {self._path}"

    def describe(self, table: str) -> TableInfo | None:
        where = "table_schema || '.' || table_name = $table"
        sql = f"SELECT LOWER(column_name), data_type FROM information_schema.columns WHERE {where}"
        with self._connected() as connection:
            columns = dict(connection.execute(sql, {"table": table}).fetchall())
        times = {name: _TIMES[kind] for name, kind in columns.items() if kind in _TIMES}
        return TableInfo(columns=frozenset(columns), time_columns=times) if columns else None

    def preflight_checks(self) -> Sequence[PreflightCheck]:
        return [
            PreflightCheck(
                name="file", title="DuckDB file", run=lambda scope: [passed(f"{self._path} is read")]
            )
        ]

    def close(self) -> None:
        pass

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, QueryError) as error:
            self._hooks.on_error()
            missing = isinstance(error, duckdb.CatalogException)
            raise QueryError(str(error), inaccessible=missing) from error

    @contextlib.contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self._path.is_file():
            raise WarehouseError(f"there is no file {self._path}; check warehouse.file")
        with duckdb.connect(str(self._path), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


def _listed(value: dt.date | tuple[Any, ...]) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _open(pipeline: Pipeline, hooks: QueryHooks) -> WarehouseClient:
    settings = cast(DuckDBFileSettings, pipeline.warehouse)
    backend = DuckDBFile(pipeline.path.parent / settings.file, hooks)
    return WarehouseClient(pipeline, backend, backend)


ADAPTER = WarehouseAdapter(
    settings=DuckDBFileSettings, open=_open, remedy="check warehouse.file, then ask again"
)
