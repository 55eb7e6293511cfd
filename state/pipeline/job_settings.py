"""How jobs run: the keys of `[jobs]`, and of each processor that states its own."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from backfilld.state.pipeline.field_types import Duration
from backfilld.state.pipeline.safe_regex import Pattern
from backfilld.state.pipeline.strict_model import StrictModel


class NoData(StrEnum):
    """What a run of the history that succeeded and left no rows proves."""

    TRY = "try"
    TRUST = "trust"


class JobSettings(StrictModel):
    """How jobs run: stated under [jobs] for all processors, and on a processor for itself."""

    cwd: str = "."
    """The directory in which jobs run, relative to the pipeline file."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Variables for the jobs; a processor's own are added to those of `[jobs]`."""
    pass_env: tuple[str, ...] = Field(default=(), strict=False)
    """Names of variables that jobs get from the daemon's environment, beside the few that all jobs get."""
    timeout: Duration = 30 * 60.0
    """The longest that a job may run. Then its process group is ended."""
    idle_timeout: Duration = 10 * 60.0
    """The longest that a job may write nothing. Then its process group is ended."""
    grace_period: Duration = 10.0
    """Time between SIGTERM and SIGKILL."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """Attempts for each date, before the date fails or passes with a waiver."""
    backoff: Duration = 30.0
    """Time before the second attempt; doubled before each further attempt, with jitter."""
    no_data: NoData = Field(default=NoData.TRY, strict=False)
    """`try`: a date fails for want of data only after attempts of its own request. `trust`: a run of the
    history that succeeded and left no rows is proof enough, for sources where it is true."""
    no_data_attempts: int = Field(default=2, ge=1, le=100)
    """Attempts that must exit with 0 and leave no rows before the date counts as without data. At most
    `max_attempts`, which bounds all attempts."""
    confirm_after: Duration = 60.0
    """Time after the last attempt that exited with 0 before the query that decides whether its date fails,
    for tables and run histories that show their rows late."""
    daily_attempts: int | None = Field(default=None, ge=1)
    """Attempts per output table and quota day, failed ones included; without it backfilld sets no limit."""
    # Not "exceeded quota": BigQuery uses these words for rates too, which recover within seconds.
    quota_errors: tuple[str, ...] = Field(default=("quotaExceeded", "Quota exceeded:"), strict=False)
    """A failed job with one of these texts in its last lines holds its table until the quota day ends."""
    error_pattern: Pattern | None = None
    """A regular expression. The last line of a failed job's log that it matches is shown as the reason, in
    place of the log's last line. The last 2,000 bytes are searched, and of each line 400 characters. A
    repeat within a repeat, such as `(a+)+`, is refused: a text could make it slow."""
    executor: str = "local"
    """The executor that runs the job: `local`, this machine, or the NAME of an `[executor.NAME]`."""


class JobDefaults(JobSettings):
    """The defaults of all processors, and the limits on all of them together."""

    slots: int = Field(default=8, ge=1, le=1000)
    """The most attempts that run at the same time, over all processors."""
    breaker_threshold: int = Field(default=5, ge=0)
    """After this many attempts in a row with one verdict, figures aside, a processor is held; 0: never.
    Attempts that were cancelled, or whose machine went away, do not count."""
