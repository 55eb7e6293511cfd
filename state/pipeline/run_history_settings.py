"""The `[history]` table of the pipeline file: where the platform records its runs."""

from __future__ import annotations

from pydantic import Field

from backfilld.state.pipeline.field_types import Column, Duration, TableName, TimeZone
from backfilld.state.pipeline.strict_model import StrictModel


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
    succeeded: tuple[str, ...] = Field(default=("success", "skipped"), min_length=1, strict=False)
    """The statuses of a run that ended well; all others are failures."""
