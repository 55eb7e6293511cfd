"""The types of date columns, read from the catalog where the pipeline file states a time zone for them."""

from __future__ import annotations

from backfilld.daemon.warehouses.adapter import Catalog
from backfilld.daemon.warehouses.sql.date_predicates import DateColumn
from backfilld.state.pipeline.processor import Processor


class DateColumns:
    """The date column of each processor. Safe to call from several threads."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[str, DateColumn] = {}

    def of(self, processor: Processor) -> DateColumn:
        """The column with its type; a DATE without `date_timezone`, and in a table that does not exist yet.

        Raises:
            QueryError: the table's metadata may not be read.
            WarehouseError: nothing can be queried now.
        """
        if processor.table.endswith("*"):
            return DateColumn(processor.date_column, "suffix")
        if processor.date_timezone is None:
            return DateColumn(processor.date_column)
        if known := self._known.get(processor.name):
            return known
        info = self._catalog.describe(processor.table)
        if info is None:
            return DateColumn(processor.date_column)
        kind = info.time_columns.get(processor.date_column.lower())
        column = DateColumn(processor.date_column, kind or "date", processor.date_timezone)
        self._known[processor.name] = column
        return column

    def forget(self, processor: Processor) -> None:
        """Read the type again: a query of the table was refused, and its column may have another one now."""
        self._known.pop(processor.name, None)
