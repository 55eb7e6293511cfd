"""The protocol of a warehouse: what the daemon asks of it, what it answers, and what a new kind brings.

A warehouse is a folder with a `plugin.py`, whose ADAPTER names the settings model and opens a `Warehouse`.
One that answers SQL needs a `SqlBackend` and a `Catalog`; `sql.warehouse.WarehouseClient` does the rest.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from backfilld.daemon.preflight.findings import Finding
from backfilld.state.base_errors import BackfilldError
from backfilld.state.formatting import first_line
from backfilld.state.pipeline.base_warehouse_settings import DEFAULT_QUOTA_TIMEZONE, WarehouseSettings
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from backfilld.state.rules.season_calendar import Counts

Purpose = Literal["gate", "sweep", "calendar", "validation", "quality", "preflight"]
"""Why the warehouse is queried: the closed set by which queries are counted."""

Wanted = Mapping[str, Collection[dt.date]]
"""The dates to query, by processor."""

Pair = tuple[str, dt.date]
"""A processor and a date."""

Answers = Mapping[Pair, Evidence]
"""Evidence by (processor, date): one for every pair that was wanted."""

Capability = Literal["price", "cancel", "write_stamp", "implicit_tables"]
"""What a kind of warehouse can do.

`price`: it bills queries, and estimates the bytes before it runs them.
`cancel`: a query that exceeds its time limit is ended in the warehouse too.
`write_stamp`: evidence carries a text for each partition that changes with every write of it.
`implicit_tables`: a table exists once a job has written it; before, it has no rows.
"""

CORRECT = "correct the pipeline file or the table"
"""The remedy of a query that the warehouse cannot understand, such as one with an unknown column."""

TimeType = Literal["datetime", "timestamp"]
"""What a column of times has: local dates and times, or instants."""


class WarehouseError(BackfilldError):
    """No query can be answered now. It says nothing about the data.

    `retry_at` (epoch seconds) is set when a query before then is useless, as with an exhausted quota.
    `until_corrected`: no query is answered until an operator corrects what the message names. `permanent`:
    also, to look at it again costs nothing, as with a file of this machine.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_at: float | None = None,
        hint: str = "",
        permanent: bool = False,
        until_corrected: bool = False,
    ) -> None:
        self.retry_at = retry_at
        self.permanent = permanent
        self.until_corrected = permanent or until_corrected
        super().__init__(message, hint=hint)

    @property
    def reason(self) -> str:
        """The message as the reason of a hold: it says so where no query is answered by itself."""
        return f"{self}; {UNTIL_CORRECTED}" if self.until_corrected else str(self)


class QueryError(BackfilldError):
    """This query cannot be answered, because of a table, a column, a permission or its length.

    Split up, the rest of the query may well be answered. `inaccessible`: a table is missing, denied or too
    slow; if all are, the location, the account or the warehouse itself is wrong. `date_scoped`: the table
    consists of files, whose columns may differ on other dates. `file_scoped`: some files cannot be read, and
    the dates of the others may well be answered. `permanent`: the query fails until an operator corrects
    what the message names.
    """

    def __init__(
        self,
        message: str,
        *,
        inaccessible: bool = False,
        date_scoped: bool = False,
        file_scoped: bool = False,
        permanent: bool = False,
    ) -> None:
        self.inaccessible = inaccessible
        self.date_scoped = date_scoped
        self.file_scoped = file_scoped
        self.permanent = permanent
        super().__init__(first_line(message))

    @property
    def evidence(self) -> str:
        """The message as evidence: it says so where the query is not answered later by itself."""
        return f"{self}; {UNTIL_CORRECTED}" if self.permanent else str(self)


class Ledger(Protocol):
    """A record of the bytes billed on each quota day. Called from several threads at once."""

    def read(self, day: dt.date) -> tuple[int, int]:
        """Bytes billed on a day, and bytes allowed that day beyond the limit."""

    def add(self, day: dt.date, billed: int) -> None:
        """Add the bytes that a query was billed."""


def noop(*_: object) -> None:
    """Do nothing: the default of a callback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryHooks:
    """Callbacks for queries and errors, the clock, and the ledger of billed bytes."""

    ledger: Ledger
    """The record of the bytes billed on each quota day."""
    on_query: Callable[[Purpose, int], None] = noop
    """Called with purpose and bytes billed, once for each query that was sent."""
    on_error: Callable[[], None] = noop
    """Called once for each query that was not answered."""
    now: Callable[[], float] = time.time
    """Epoch seconds."""
    quota_zone: str = DEFAULT_QUOTA_TIMEZONE
    """The time zone at whose midnight a quota day ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableInfo:
    """The metadata of one table. Names of columns are in lower case: warehouses ignore their case."""

    columns: frozenset[str]
    time_columns: Mapping[str, TimeType] = field(default_factory=dict)
    """The columns of times by name; a column of dates is none."""
    partition_column: str | None = None
    """None for a table without partitions, or with ones by time of loading."""
    names_dates: bool = False
    """Whether its directories have the dates in other words: they take the place of any column of dates."""
    require_filter: bool = False
    """Whether a query that names no partition is refused."""
    expiration_seconds: float | None = None
    """How long after its date a partition vanishes; None: never."""
    modified_at: float | None = None
    """Epoch seconds of the last change, where that is known."""


@dataclass(frozen=True, slots=True)
class Partition:
    """The rows of one date in a table."""

    table: str
    column: str
    date: dt.date


def by_column(partitions: Iterable[Partition]) -> Mapping[tuple[str, str], Sequence[Partition]]:
    """The partitions by their table and column, whose place or bounds are then read once."""
    grouped: dict[tuple[str, str], list[Partition]] = defaultdict(list)
    for partition in partitions:
        grouped[partition.table, partition.column].append(partition)
    return grouped


class PreflightScope(Protocol):
    """What a warehouse's preflight checks may look at."""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline that is to run."""

    @property
    def start(self) -> dt.date:
        """The oldest date that is to be filled."""

    @property
    def today(self) -> dt.date:
        """The current date."""

    @property
    def tables(self) -> Mapping[str, TableInfo | QueryError | None]:
        """Every table that the pipeline names; None for a table that does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightCheck:
    """A preflight check that only one kind of warehouse has."""

    name: str
    title: str
    run: Callable[[PreflightScope], Iterable[Finding]]


class Catalog(Protocol):
    """The metadata of a warehouse's tables. Reading it reads no rows and costs nothing."""

    def describe_connection(self) -> str:
        """The project, directory or server that was reached, in a few words.

        Raises:
            WarehouseError: it cannot be reached, or not with these credentials.
        """

    def describe(self, table: str) -> TableInfo | None:
        """The metadata of a table; None if it does not exist.

        Raises:
            QueryError: the table's metadata may not be read.
            WarehouseError: nothing can be queried now.
        """

    def preflight_checks(self) -> Sequence[PreflightCheck]:
        """The checks of this kind of warehouse, beside those that every kind has."""


class Warehouse(Protocol):
    """The platform's data, read-only. Called from several threads at once."""

    def counts(self, start: dt.date, end: dt.date) -> Mapping[dt.date, Counts]:
        """Counts per date of the calendar, both ends included; 0 for dates that are absent.

        Raises:
            WarehouseError: the calendar could not be read.
        """

    def evidence(self, wanted: Wanted, *, purpose: Purpose, stamps: Wanted | None = None) -> Answers:
        """Rows, figures and latest runs of every wanted pair: two queries, however many tables and dates.

        A table that cannot be queried gives evidence with `error` for its processors and no other. `stamps`
        are the wanted pairs whose write stamp is read too, which may cost more queries; it is also read of
        all others where that is not billed. None: no stamp is read.

        Raises:
            WarehouseError: no query could be answered.
        """

    def rule_problem(self, processor: str, date: dt.date) -> str:
        """Why the figures that a processor's rules need cannot be queried; empty where they can.

        The same query as that of `evidence`, without reading any rows. `date` is any date of the table.

        Raises:
            QueryError: a file cannot be read, whatever the rules are.
            WarehouseError: nothing can be queried now.
        """

    def close(self) -> None:
        """Close all connections. Idempotent."""


class WriteStamps(Protocol):
    """Reads when partitions were written, and whether they exist. Called from several threads at once."""

    def read(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, str]:
        """A text for each partition that changes with every write of it, also for one without rows.

        A partition without a known stamp is left out.

        Raises:
            QueryError: they cannot be read.
            WarehouseError: nothing can be queried now.
        """

    def read_unbilled(
        self, partitions: Collection[Partition], *, purpose: Purpose
    ) -> Mapping[Partition, str]:
        """As `read`, for stamps that are read with all evidence, and compared with those that are read later.

        Left out are stamps that are billed, and those that a write of another partition changes too.

        Raises:
            QueryError: they cannot be read.
            WarehouseError: nothing can be queried now.
        """

    def existing(self, partitions: Collection[Partition], *, purpose: Purpose) -> Mapping[Partition, bool]:
        """Whether each partition exists, with rows or without.

        Dates that are no partitions are left out, such as those of a table without any.

        Raises:
            QueryError: they cannot be read.
            WarehouseError: nothing can be queried now.
        """


class DescribedWarehouse(Warehouse, Protocol):
    """A warehouse as an adapter opens it: with its catalog and an estimate of what queries cost."""

    @property
    def catalog(self) -> Catalog:
        """The metadata of its tables."""

    def estimate_bytes(self, wanted: Wanted) -> int:
        """About how many bytes `evidence` of the same pairs would be billed; 0 without the capability price.

        Raises:
            WarehouseError: it could not be estimated.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseAdapter:
    """A kind of warehouse: what its folder exposes as ADAPTER. Importing it imports no client library."""

    settings: type[WarehouseSettings]
    """The model of `[warehouse]`."""
    open: Callable[[Pipeline, QueryHooks], DescribedWarehouse]
    """The warehouse of a pipeline, not connected yet."""
    remedy: str
    """What an operator checks when it does not answer."""
    capabilities: frozenset[Capability] = frozenset()
