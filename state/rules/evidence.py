"""What the warehouse says of one (processor, date): rows, figures, runs of the history. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from backfilld.state.rules.check_command_run import CheckRun
from backfilld.state.rules.expectations.aggregate_types import (
    Aggregate,
    DistinctKeys,
    DistinctValues,
    EmptyValues,
    GroupCounts,
    KeyCounts,
    OffendingRows,
    PassingRows,
)

UNTIL_CORRECTED = "unknown until an operator corrects that"
"""Part of `Evidence.error` where the same query fails again and again."""

GONE = "is gone"
"""Part of the reason where an attempt left rows that are not there any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRun:
    """One run of a processor for a date: a row of the platform's history, or an attempt of the daemon."""

    succeeded: bool
    started_at: float
    """Epoch seconds."""
    ended_at: float | None = None
    """Epoch seconds; None while it is open, or where the history does not say."""
    detail: str = ""
    """The platform's error text or status word, or how the attempt ended."""
    left: str = ""
    """An attempt with the rows that the warehouse held after it, as text; empty where it held none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierDate:
    """A date of the same processor that was judged complete, with what the calendar counts on it."""

    date: dt.date
    rows: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the warehouse says of one (processor, date). A figure that is None or absent was not counted."""

    rows: int = 0
    distinct: Mapping[str, int] = field(default_factory=dict)
    """The number of distinct values, by column."""
    distinct_keys: int | None = None
    """The number of distinct values of a key of several columns."""
    passing_rows: int | None = None
    """The rows that hold the quality predicate."""
    empty_counts: Mapping[str, int] = field(default_factory=dict)
    """The rows in which a column is empty, by column."""
    groups: GroupCounts | None = None
    """The sizes of the groups of a date that has rows."""
    keys: KeyCounts | None = None
    """The keys of a date that has rows, against those of another table."""
    offending: OffendingRows | None = None
    """The rows that the SQL of `no_rows` finds."""
    earlier: tuple[EarlierDate, ...] = ()
    """The complete dates before, by earlier verdicts, which rules compare with."""
    measures: Mapping[str, float | None] = field(default_factory=dict)
    """The measures of a date that has rows, by their SQL; None for NULL."""
    measures_before: Mapping[dt.date, Mapping[str, float | None]] = field(default_factory=dict)
    """The measures of the days before that have rows, complete or not."""
    reference: int | None = None
    """The rows of the table that a ratio measures against."""
    closed: HistoryRun | None = None
    """The latest run of the history that ended."""
    open: HistoryRun | None = None
    """The latest run of the history that did not end."""
    write_stamp: str | None = None
    """Changes with every write of the date's partition; compared for equality only. None: the warehouse
    reports none, or it was not read."""
    check_run: CheckRun | None = None
    """The run of the check command about this very output; None: none was started yet."""
    has_partition: bool | None = None
    """Whether the date's partition exists, with rows or without; None: no rule needs it."""
    unread: str = ""
    """What is there for a date without rows and is not read, with the remedy; empty where nothing is."""
    error: str = ""
    """Why the warehouse could not be asked; the rest means nothing then."""

    def figure(self, aggregate: Aggregate) -> int | None:
        """What was counted for an aggregate."""
        match aggregate:
            case DistinctValues(column):
                return self.distinct.get(column)
            case DistinctKeys():
                return self.distinct_keys
            case PassingRows():
                return self.passing_rows
            case EmptyValues(column):
                return self.empty_counts.get(column)

    def with_figures(self, figures: Mapping[Aggregate, int]) -> Evidence:
        """The same with what was counted for some aggregates."""
        return replace(
            self,
            distinct={a.column: n for a, n in figures.items() if isinstance(a, DistinctValues)},
            distinct_keys=next((n for a, n in figures.items() if isinstance(a, DistinctKeys)), None),
            passing_rows=next((n for a, n in figures.items() if isinstance(a, PassingRows)), None),
            empty_counts={a.column: n for a, n in figures.items() if isinstance(a, EmptyValues)},
        )
