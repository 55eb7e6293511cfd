"""What the settings of every warehouse share whose queries are SQL."""

from __future__ import annotations

from typing import ClassVar

from backfilld.state.pipeline.base_warehouse_settings import SqlKind, WarehouseSettings


class SqlWarehouseSettings(WarehouseSettings):
    """The settings of a warehouse that is queried by SQL."""

    sql_dialect: ClassVar[str]
    """The dialect of its SQL, by its name in sqlglot."""

    @property
    def file_dialect(self) -> str:
        """The dialect of the SQL in the pipeline file."""
        return self.sql_dialect

    def syntax_problem(self, text: str, kind: SqlKind) -> str:
        """Why a text of the file is not one condition, measure or query; empty where nothing shows it."""
        from backfilld.daemon.warehouses.sql.fragment_validation import syntax_problem  # noqa: PLC0415  slow to import

        return syntax_problem(text, self.file_dialect, kind)
