"""The pipeline file's contents: phases, processors, calendar, history and jobs, frozen and checked.

`backfilld.state.pipeline.loading.load` reads one; a Pipeline that exists is a valid one.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from backfilld.state.pipeline.adapters import ExecutorSections, WarehouseSection
from backfilld.state.pipeline.sections import (
    DEFAULT_QUOTA_TIMEZONE,
    CalendarSettings,
    Duration,
    ExecutorSettings,
    HistorySettings,
    TableName,
)
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.calendar import Calendar, Day, Lookback, Season
from backfilld.state.rules.expectation import Column, Expectation

PENDING, DONE, FAILED = "pending", "done", "failed"

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
PLACEHOLDERS = ("date", "dates", "start", "end", "dates_file", "python")
BATCH_PLACEHOLDERS = ("dates", "start", "end", "dates_file")


def date_placeholders(dates: Sequence[dt.date]) -> dict[str, str]:
    """What the placeholders of dates stand for; `dates` are oldest first and at least one."""
    texts = [date.isoformat() for date in dates]
    return {"date": texts[0], "dates": ",".join(texts), "start": texts[0], "end": texts[-1]}


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=80)]


class EngineSettings(StrictModel):
    """How the engine keeps its knowledge fresh."""

    max_evidence_age: Duration = 30 * 60.0
    """If the warehouse's latest answer is older than this, it is asked again before a job starts."""
    recheck_interval: Duration = 5 * 60.0
    """How often an open run, an unanswered question or a hole that nobody fills is asked about again."""
    batch_window: Duration = 10.0
    """After a good job whose date has other jobs to do anyway, the question waits up to this long, so that
    several go in one query."""
    revalidate_within: Duration = 7 * 86400.0
    """Within how long every done date is looked at again; `"0s"`: never."""
    log_retention: Duration = 0.0
    """How long a job's log is kept after its last line; `"0s"`: for ever."""


class Priority(StrEnum):
    """How much a processor matters: what may become of a date without it."""

    CRITICAL = "critical"
    IMPORTANT = "important"
    FALLBACK = "fallback"


class JobSettings(StrictModel):
    """How jobs run. Stated under [jobs] for all, and on a processor for itself."""

    cwd: str = "."
    """The directory in which jobs run, relative to the pipeline file."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Variables for the jobs; a processor's own are added to those of `[jobs]`."""
    pass_env: tuple[str, ...] = Field(default=(), strict=False)
    """Names of variables of the daemon's environment that jobs get too; by itself they get but a few."""
    timeout: Duration = 30 * 60.0
    """How long a job may run before its process group is ended."""
    idle_timeout: Duration = 10 * 60.0
    """How long a job may write nothing before its process group is ended."""
    settle: Duration = 0.0
    """How long after a job's end the warehouse is asked: for tables that show rows late."""
    grace_period: Duration = 10.0
    """Time between SIGTERM and SIGKILL."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """Attempts for each date, before it fails or goes without."""
    backoff: Duration = 30.0
    """Before the second attempt; doubled before each further one, with jitter."""
    daily_attempts: int | None = Field(default=None, ge=1)
    """Attempts per output table and quota day, failed ones included; without it backfilld sets no limit."""
    # Not "exceeded quota": BigQuery says that of rates too, which pass in seconds.
    quota_errors: tuple[str, ...] = Field(default=("quotaExceeded", "Quota exceeded:"), strict=False)
    """A failed job whose last lines hold one of these parks its table until the quota day ends."""
    executor: str = "local"
    """The executor that runs the job: `local`, this machine, or the NAME of an `[executor.NAME]`."""


class JobDefaults(JobSettings):
    """The defaults of all processors, and the limits that hold for all of them together."""

    slots: int = Field(default=8, ge=1, le=1000)
    """Attempts at once, in all."""
    breaker_threshold: int = Field(default=5, ge=0)
    """The same verdict after so many attempts in a row, figures aside, pauses a processor; 0: never."""


class Processor(JobSettings):
    """What fills one output table."""

    name: Name
    """Unique among processors and phases."""
    table: TableName
    """The output table, `dataset.table`. One attempt at a time writes it, over all dates."""
    command: tuple[str, ...] = Field(min_length=1, strict=False)
    """The program and its arguments, without a shell. See *Placeholders*."""
    date_column: Column = "date"
    """The table's column of dates, of the type DATE; in a lake, what its partitions are named by."""
    history_names: tuple[str, ...] = Field(default=(), strict=False)
    """What `[history]` calls it, where that is not its name."""
    priority: Priority = Field(default=Priority.CRITICAL, strict=False)
    """`critical`, `important` or `fallback`: what becomes of a date without it."""
    fallbacks: tuple[str, ...] = Field(default=(), strict=False)
    """Processors of the same phase, of which a complete one stands in for what this one lacks."""
    after: tuple[str, ...] = Field(default=(), strict=False)
    """Processors of the same phase that must be satisfied before its job starts."""
    writers: int = Field(default=1, ge=1, le=100)
    """How many of its attempts may run at the same time."""
    batch: int = Field(default=1, ge=1, le=1000)
    """Dates that one attempt may take together."""
    estimate: Duration | None = None
    """How long one date usually takes, for the plan, until attempts have shown it."""
    resources: Mapping[str, float | str] = Field(default_factory=dict)
    """What a job needs of its executor, such as `{ GPU = 1 }` on Dask; each kind has its own keys."""
    cloud_run_job: str | None = Field(default=None, pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
    """The Cloud Run job that `executor = "cloud-run"` executes; without it, the name with - for _."""
    requires: tuple[str, ...] = Field(default=(), strict=False)
    """Options that must be set to True in the script's own source, such as skip_downstream_trigger."""
    expect: Expectation = Expectation()
    """What its rows must look like. Without any rule, one row is enough."""

    @field_validator("command")
    @classmethod
    def _known_placeholders(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        for word in _PLACEHOLDER.findall(" ".join(command)):
            if word not in PLACEHOLDERS:
                raise ValueError(f"unknown placeholder {{{word}}}; known are {', '.join(PLACEHOLDERS)}")
        return command

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        used = set(self.placeholders)
        if self.batch > 1 and not used & set(BATCH_PLACEHOLDERS):
            raise ValueError("batch above 1 needs {dates}, {start} and {end}, or {dates_file} in command")
        if self.batch > 1 and "date" in used:
            raise ValueError("{date} is one date and batch is above 1; use {start} and {end}, or {dates}")
        return self

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in braces that the command uses."""
        return tuple(_PLACEHOLDER.findall(" ".join(self.command)))

    def argv(self, words: Mapping[str, str]) -> tuple[str, ...]:
        """The command with its placeholders replaced by `words`; no shell ever parses it."""
        fill = partial(_PLACEHOLDER.sub, lambda found: words.get(found[1], found[0]))
        return tuple(fill(part) for part in self.command)

    @property
    def in_cloud_run(self) -> str:
        """What its Cloud Run job is called there."""
        return self.cloud_run_job or self.name.replace("_", "-")

    @property
    def names_in_history(self) -> tuple[str, ...]:
        """The names under which the platform's history may know it."""
        return self.history_names or (self.name,)


class Phase(StrictModel):
    """A named group of processors."""

    name: Name
    """Its name, which is also a state of dates; with `-step-1` and so on when it is sequential."""
    order: Literal["parallel", "sequential"] = "parallel"
    """`parallel`: side by side. `sequential`: in the file's order, one attempt at a time over all dates."""
    skip_bootstrap: bool = False
    """Whether dates in the first `bootstrap_days` of a season pass it by."""
    lookback: Literal["season"] | int | None = None
    """`"season"` or days: the earlier dates that must be satisfied in the phase before. A sequential phase
    takes the season when there is one, else 0."""
    processor: tuple[Processor, ...] = Field(default=(), strict=False)
    """Its processors, in order."""

    @property
    def sequential(self) -> bool:
        """Whether its processors run strictly one after another, one attempt at a time over all dates."""
        return self.order == "sequential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One live state of a date after `pending`, with the processors of its gate."""

    name: str
    index: int
    phase: Phase
    processors: tuple[Processor, ...]
    enters_phase: bool
    """Whether it is the first state of its phase."""


class Pipeline(StrictModel):
    """A whole pipeline file."""

    name: Name
    """What the pipeline is called, in logs and on the page."""
    timezone: str = "UTC"
    """Whose yesterday is the last date of a preflight without dates."""
    quota_timezone: str = DEFAULT_QUOTA_TIMEZONE
    """Daily budgets begin anew at midnight here."""
    warehouse: WarehouseSection
    """Where the data is."""
    history: HistorySettings | None = None
    """The platform's own table of runs, where it keeps one."""
    calendar: CalendarSettings = CalendarSettings()
    """Which dates are expected, and how much of them."""
    jobs: JobDefaults = JobDefaults()
    """How jobs run."""
    executor: ExecutorSections = Field(default_factory=dict, validate_default=True)
    """Where jobs run, by name; `local`, this machine, needs no table."""
    engine: EngineSettings = EngineSettings()
    """How often the engine asks."""
    phase: tuple[Phase, ...] = Field(default=(), strict=False)
    """The phases, in order."""
    path: Path = Field(default=Path("pipeline.toml"), exclude=True)

    @field_validator("timezone", "quota_timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"unknown time zone {name!r}; use a name such as America/New_York") from None
        return name

    @cached_property
    def fingerprint(self) -> str:
        """Tells what one file says from what another says; comments and layout do not count."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @cached_property
    def seasons(self) -> Calendar:
        """The calendar's pure part."""
        entries = [Season(name=s.name, opens=s.opens, closes=s.closes) for s in self.calendar.season]
        counts = bool(self.calendar.query or self.calendar.file)
        return Calendar(entries, counts_games=counts)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The live states after `pending`, in order: one per parallel phase, one per sequential step."""
        stages: list[Stage] = []
        for phase in self.phase:
            groups = [(p,) for p in phase.processor] if phase.sequential else [phase.processor]
            for number, group in enumerate(groups, start=1):
                name = f"{phase.name}-step-{number}" if phase.sequential else phase.name
                stages.append(
                    Stage(
                        name=name, index=len(stages), phase=phase, processors=group, enters_phase=number == 1
                    )
                )
        return tuple(stages)

    @cached_property
    def processors(self) -> Mapping[str, Processor]:
        """All processors by name, in the order of the file."""
        return {p.name: p for phase in self.phase for p in phase.processor}

    @property
    def stale_after(self) -> float:
        """Seconds after which an open run of the history counts as never closed; 0 without a history."""
        return self.history.stale_after if self.history else 0.0

    def job_settings(self, processor: str) -> JobSettings:
        """How the jobs of a processor run; by the defaults, where the file no longer has it."""
        return self.processors.get(processor, self.jobs)

    def executor_of(self, processor: Processor) -> ExecutorSettings:
        """The settings of the executor that runs a processor's jobs."""
        return self.executor[processor.executor]

    @cached_property
    def stage_of(self) -> Mapping[str, Stage]:
        """The stage in whose gate a processor is."""
        return {p.name: stage for stage in self.stages for p in stage.processors}

    @cached_property
    def stage(self) -> Mapping[str, Stage]:
        """Stages by state name."""
        return {stage.name: stage for stage in self.stages}

    def lookback(self, phase: Phase) -> Lookback:
        """How far back a phase looks: as stated, else the season for sequential phases with seasons."""
        if phase.lookback is not None:
            return phase.lookback
        return "season" if phase.sequential and self.calendar.season else 0

    def bootstrap_days(self, processor: Processor) -> int:
        """The first days of a season on which the processor is not expected to write."""
        if processor.expect.bootstrap_days is not None:
            return processor.expect.bootstrap_days
        phase = self.stage_of[processor.name].phase
        return self.calendar.bootstrap_days if phase.skip_bootstrap else 0

    def bypassed(self, stage: Stage, day: Day) -> bool:
        """Whether a date skips the stage because its season has only begun."""
        processors = stage.phase.processor
        return stage.phase.skip_bootstrap and all(
            day.in_bootstrap(self.bootstrap_days(p)) for p in processors
        )
