"""The partitions of wanted dates: when they were written, and whether they exist."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Protocol

from backfilld.daemon.warehouses.adapter import Pair, Partition, Purpose, QueryError, Wanted, WriteStamps
from backfilld.daemon.warehouses.sql.date_column_metadata import DateColumns
from backfilld.state.pipeline.processor import Processor

log = logging.getLogger(__name__)


class ReadStamps(Protocol):
    """One of the two ways in which `WriteStamps` are read."""

    def __call__(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, str]:
        """The write stamps of some partitions."""


class Partitions:
    """Reads the partitions of processors' tables. Without `stamps` nothing is known of them."""

    def __init__(
        self, processors: Mapping[str, Processor], columns: DateColumns, stamps: WriteStamps | None
    ) -> None:
        self._processors = processors
        self._columns = columns
        self._stamps = stamps

    def write_stamps(self, wanted: Wanted, unbilled: Wanted, purpose: Purpose) -> Mapping[Pair, str]:
        """The write stamps by (processor, date), as far as the warehouse knows them.

        Of the pairs in `unbilled`, only those that cost no billed query.

        Raises:
            WarehouseError: nothing can be queried now.
        """
        if self._stamps is None:
            return {}
        partitions = self._partitions(wanted)
        written = self._read(self._stamps.read, partitions, purpose)
        others = {pair: part for pair, part in self._partitions(unbilled).items() if pair not in partitions}
        return written | self._read(self._stamps.read_unbilled, others, purpose)

    @staticmethod
    def _read(read: ReadStamps, partitions: Mapping[Pair, Partition], purpose: Purpose) -> dict[Pair, str]:
        if not partitions:
            return {}
        try:
            written = read(set(partitions.values()), purpose=purpose)
        except QueryError as error:
            log.warning("write stamps cannot be read: %s", error)
            return {}
        return {pair: written[partition] for pair, partition in partitions.items() if partition in written}

    def existing(self, wanted: Wanted, purpose: Purpose) -> Mapping[Pair, bool | QueryError]:
        """Whether the partition exists, or why that is not known: of the wanted pairs with `expect.empty`.

        Raises:
            WarehouseError: nothing can be queried now.
        """
        wanted = {name: dates for name, dates in wanted.items() if self._processors[name].expect.empty}
        partitions = self._partitions(wanted)
        existing: Mapping[Partition, bool] = {}
        if self._stamps and partitions:
            try:
                existing = self._stamps.existing(set(partitions.values()), purpose=purpose)
            except QueryError as error:
                return {(name, date): error for name, dates in wanted.items() for date in dates}
        answers: dict[Pair, bool | QueryError] = {}
        for name, dates in wanted.items():
            for date in dates:
                known = existing.get(partitions[name, date]) if (name, date) in partitions else None
                answers[name, date] = self._unknown(name) if known is None else known
        return answers

    def _unknown(self, name: str) -> QueryError:
        column = self._processors[name].date_column
        message = f"the table has no partition for each date of {column}; remove expect.empty"
        return QueryError(message, permanent=True)

    def _partitions(self, wanted: Wanted) -> Mapping[Pair, Partition]:
        return {
            (name, date): Partition(self._processors[name].table, self._processors[name].date_column, date)
            for name, dates in wanted.items()
            if self._has_partitions(name)
            for date in dates
        }

    def _has_partitions(self, name: str) -> bool:
        """Whether a date of a processor is a partition; those by instants are days of UTC.

        False where its table cannot be described, which costs no other table its partitions.
        """
        try:
            column = self._columns.of(self._processors[name])
        except QueryError as error:
            log.warning("%s: its partitions cannot be read: %s", name, error)
            return False
        if column.type == "suffix":
            return False
        return column.type != "timestamp" or column.timezone == "UTC"
