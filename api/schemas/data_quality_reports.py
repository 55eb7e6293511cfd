"""Reports in the API and in `--json` output. Their parts are the daemon's own result types."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from backfilld.api.schemas.field_types import ReportModel
from backfilld.daemon.preflight.findings import Result
from backfilld.daemon.reports.blindness_to_simulated_damage import ProcessorBlindness
from backfilld.daemon.reports.data_completeness import PhaseReport
from backfilld.daemon.reports.expectation_suggestions import Suggestion
from backfilld.daemon.reports.quality import ProcessorQuality
from backfilld.state.rules.season_calendar import Counts


class Validation(ReportModel):
    """What exists for a range of dates, what is missing and why, and the next step."""

    start: dt.date
    end: dt.date
    dates: int
    expected_dates: int
    bootstrap_dates: int
    off_dates: dict[dt.date, str]
    phases: list[PhaseReport]
    ready: bool
    summary: str
    counts_outside_seasons: dict[dt.date, Counts]
    unexpected_rows: dict[str, dict[dt.date, int]] = Field(
        description="by processor, the rows on dates on which no output of it is expected"
    )
    checks_not_run: dict[str, list[dt.date]] = Field(
        description="by processor, the dates that are judged without their check command"
    )
    failed_reruns: dict[str, dict[dt.date, str]] = Field(
        description="by processor and failed date: what the rerun did that was to replace its complete rows"
    )
    warnings: list[str]
    next_action: str


class Quality(ReportModel):
    """The quality of a range of dates; `unchecked` are the processors without a quality rule."""

    start: dt.date
    end: dt.date
    dates: int
    processors: list[ProcessorQuality]
    unchecked: list[str]
    good: bool
    summary: str


class Preflight(ReportModel):
    """The results of all preflight checks, with the exit code of the command."""

    results: list[Result]
    exit_code: int
    summary: str


class Blindness(ReportModel):
    """How much damage of complete dates the rules would not see."""

    start: dt.date
    end: dt.date
    processors: list[ProcessorBlindness]
    summary: str


class Suggestions(ReportModel):
    """Rules proposed from complete dates."""

    start: dt.date
    end: dt.date
    processors: list[Suggestion]
