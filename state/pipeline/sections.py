"""Sections of the pipeline file about the platform: warehouse, history, calendar, executors."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Self

from pydantic import BeforeValidator, Field, model_validator

from backfilld.state.pipeline.days_settings import DaysSettings
from backfilld.state.pipeline.durations import parse_duration
from backfilld.state.pipeline.fields import Column, TimeZone
from backfilld.state.pipeline.strict_model import StrictModel


def parse_size(text: object) -> object:
    """`"64KB"`, `"100MB"` or `"1GB"` in bytes, with units of 1,000.

    Raises:
        ValueError: the text is not a size.
    """
    match = re.fullmatch(r"(\d+)(KB|MB|GB|TB)", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a size; write it like "100MB" or "1GB"')
    return int(match[1]) * 1000 ** (1 + ("KB", "MB", "GB", "TB").index(match[2]))


Duration = Annotated[float, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(parse_size)]
DEFAULT_QUOTA_TIMEZONE = "America/Los_Angeles"
"""BigQuery's daily quotas begin anew at midnight Pacific time (its quota documentation)."""
TableName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,2}$")]

OutputTable = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){1,2}\*?$")]
"""A table, or all tables whose names begin so: `dataset.events_*`."""


class WarehouseSettings(StrictModel):
    """Settings that every kind of warehouse has; an adapter adds its own in a subclass."""

    has_partitions: ClassVar[bool] = False
    """Whether this kind of warehouse reports that the partition of a date exists."""

    kind: str
    """The kind of warehouse, such as `bigquery`, `duckdb`, `lake` or `postgresql`."""
    query_timeout: Duration = 120.0
    """The time limit of a query."""
    daily_bytes: int | None = Field(default=None, gt=0)
    """Bytes that may be billed per quota day, in all; without it backfilld sets no limit."""

    def sql_problem(self, text: str) -> str:
        """Why SQL of the file cannot be used on this warehouse; empty where only a query can show it."""
        del text
        return ""

    def table_problem(self, table: str, date_column: str) -> str:
        """Why this kind of warehouse has no such output table, with its date column; else empty."""
        del date_column
        return "this kind of warehouse has no date-sharded tables; name one table" if "*" in table else ""


class HistorySettings(StrictModel):
    """The platform's table of runs, and its columns where they differ from the usual ones."""

    table: TableName
    """The table of runs, `dataset.table`."""
    stale_after: Duration = 4 * 3600.0
    """An open run older than this counts as never closed."""
    timezone: TimeZone | None = None
    """The time zone of its times where they are local and carry none (DATETIME); UTC without it."""
    date: Column = "data_date"
    """The column of the date that was worked on, of the type DATE."""
    processor: Column = "processor_name"
    """The column of the processor's name."""
    run_id: Column = "run_id"
    """The column that a run's first and last row share."""
    status: Column = "status"
    """The column of its status."""
    started_at: Column = "started_at"
    """The column of its begin."""
    ended_at: Column = "processed_at"
    """The column of its end."""
    detail: Column = "errors"
    """The column of its errors."""
    controller: Column | None = None
    """The column that names who started a run; runs of others make a date wait, by name."""
    running: tuple[str, ...] = Field(default=("running",), strict=False)
    """The statuses of an open run."""
    succeeded: tuple[str, ...] = Field(default=("success", "skipped"), strict=False)
    """The statuses of a run that ended well; all others are failures."""


class SeasonSettings(StrictModel):
    """A season as the file states it, both ends included."""

    name: str = Field(min_length=1)
    """What it is called."""
    opens: dt.date
    """Its first date, which is day 0."""
    closes: dt.date
    """Its last date."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.opens > self.closes:
            raise ValueError(f"opens {self.opens} is after closes {self.closes}")
        return self


class CalendarSettings(StrictModel):
    """Where the counts per date come from: SQL, a CSV file, or neither (every date is expected)."""

    query: str | None = None
    """SQL that gives `date` (a DATE) and any counts, such as `games`, from `@start` to `@end`, in the dialect
    of the warehouse. A date without a row, or with counts of 0 only, is not expected."""
    file: str | None = None
    """A CSV file relative to the pipeline file; its header has `date` and any counts, as in `date,games`."""
    bootstrap_days: int = Field(default=0, ge=0, le=366)
    """The first days of a season, which phases with `skip_bootstrap` pass by."""
    days: tuple[DaysSettings, ...] = Field(default=(), strict=False)
    """Days by name, on which a processor with `days` has output."""
    season: tuple[SeasonSettings, ...] = Field(default=(), strict=False)
    """Seasons; dates outside of them are not expected. Without any, every date may be."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.query and self.file:
            raise ValueError("query and file exclude each other; keep one")
        ordered = sorted(self.season, key=lambda season: season.opens)
        for earlier, later in itertools.pairwise(ordered):
            if later.opens <= earlier.closes:
                raise ValueError(f"seasons {earlier.name} and {later.name} overlap; correct opens or closes")
        if self.bootstrap_days and not self.season:
            raise ValueError("bootstrap_days counts from a season's opener; add [[calendar.season]]")
        return self


class ExecutorSettings(StrictModel):
    """Settings that every kind of executor has; an adapter adds its own in a subclass."""

    refused_placeholders: ClassVar[Mapping[str, str]] = {}
    """Placeholders that a command may not use on this executor: why, and the remedy."""

    kind: str = ""
    """The kind of executor; without it, the table's name is the kind."""
    slots: int | None = Field(default=None, ge=1, le=1000)
    """Attempts that run on this executor at once; without it, `jobs.slots` is the only limit."""

    def resource_problems(self, resources: Mapping[str, float | str]) -> Iterator[str]:
        """What is wrong with a processor's `resources` on this executor; one that takes none refuses all."""
        for key in resources:
            yield f"{key}: this kind of executor takes no resources; remove it"
