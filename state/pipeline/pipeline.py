"""The whole pipeline file, frozen and checked: a Pipeline that exists is a valid one.

`backfilld.state.pipeline.loading.load` reads one.
"""

from __future__ import annotations

import datetime as dt
import graphlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from backfilld.state.pipeline.base_executor_settings import ExecutorSettings
from backfilld.state.pipeline.base_warehouse_settings import DEFAULT_QUOTA_TIMEZONE
from backfilld.state.pipeline.calendar_settings import CalendarSettings
from backfilld.state.pipeline.closed_hours_settings import WindowSettings
from backfilld.state.pipeline.field_types import Duration, Name, Size, TimeZone
from backfilld.state.pipeline.job_settings import JobDefaults, JobSettings
from backfilld.state.pipeline.phase import Phase, Stage
from backfilld.state.pipeline.pool_settings import PoolSettings
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.run_history_settings import HistorySettings
from backfilld.state.pipeline.settings_by_kind import ExecutorSections, WarehouseSection
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.pipeline.user_defined_preflight_settings import PreflightSettings
from backfilld.state.rules.closed_hours import ClosedHours
from backfilld.state.rules.expectations.check_command import CommandCheck
from backfilld.state.rules.judge import JudgeContext, outside
from backfilld.state.rules.needs_graph import Need, NeedsGraph
from backfilld.state.rules.period_ends import PeriodEnds
from backfilld.state.rules.recurring_days import OutputDays, RecurringDays
from backfilld.state.rules.refresh_schedule import date_end
from backfilld.state.rules.season_calendar import Calendar, Day, Lookback, Season

_StatedNeed = tuple[str, Lookback, bool]
"""A processor, the window of earlier dates, and whether the same date is needed too."""


class EngineSettings(StrictModel):
    """How often the engine queries the warehouse, and how long it keeps logs."""

    max_evidence_age: Duration = 2 * 60.0
    """No job starts on evidence that is older than this, or from before the daemon's start; it is queried
    again first. At least 10 s; the time that a query takes is added."""
    recheck_interval: Duration = 5 * 60.0
    """Time between queries about an open run, a failed query or a missing upstream that no backfill fills."""
    batch_window: Duration = 10.0
    """The longest that the query after a successful job waits for further queries, where its date has other
    jobs to run, or jobs of other dates may fill a batch that follows: one query then serves several jobs."""
    revalidate_within: Duration = 7 * 86400.0
    """The period in which every done date is validated again, at most 200 dates a minute; `"0s"`: never."""
    check_slots: int = Field(default=2, ge=1, le=100)
    """The most commands of `expect.check` that run at the same time, beside the `slots` of `[jobs]`."""
    log_retention: Duration = 0.0
    """How long a log is kept after its last line, or up to an hour longer; `"0s"`: without limit."""
    max_log_bytes: Size = Field(default=10**9, ge=1000)
    """The most that an attempt's log may take on the disk, such as `"1GB"`. A longer one loses its middle."""


class Pipeline(StrictModel):
    """A whole pipeline file."""

    name: Name
    """The pipeline's name, in logs and on the page."""
    timezone: TimeZone = "UTC"
    """The time zone whose yesterday is the last date of a preflight without dates."""
    quota_timezone: TimeZone = DEFAULT_QUOTA_TIMEZONE
    """The time zone at whose midnight daily budgets start anew."""
    warehouse: WarehouseSection
    """Where the data is."""
    history: HistorySettings | None = None
    """The platform's table of runs, where it has one."""
    calendar: CalendarSettings = CalendarSettings()
    """Which dates are expected, and what is counted on each."""
    jobs: JobDefaults = JobDefaults()
    """How jobs run."""
    pool: tuple[PoolSettings, ...] = Field(default=(), strict=False)
    """Limits that several processors share."""
    window: tuple[WindowSettings, ...] = Field(default=(), strict=False)
    """Hours during which no job starts."""
    executor: ExecutorSections = Field(default_factory=dict, validate_default=True)
    """Where jobs run, by name; `local`, this machine, needs no table."""
    preflight: PreflightSettings = PreflightSettings()
    """What preflight checks beside its own checks."""
    engine: EngineSettings = EngineSettings()
    """How often the engine queries the warehouse."""
    phase: tuple[Phase, ...] = Field(default=(), strict=False)
    """The phases, in order."""
    path: Path = Field(default=Path("pipeline.toml"), exclude=True)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what the file says; comments and layout do not change it."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @cached_property
    def seasons(self) -> Calendar:
        """The seasons of the calendar, and whether it counts."""
        entries = [Season(name=s.name, opens=s.opens, closes=s.closes) for s in self.calendar.season]
        counted = bool(self.calendar.query or self.calendar.file)
        of_rules = (name for p in self.processors.values() for name in p.expect.count_names)
        names = dict.fromkeys([*of_rules, *(days.count for days in self.calendar.days if days.count)])
        queried = [days.name for days in self.calendar.days if days.query]
        return Calendar(entries, counted=counted, count_names=names, queried_days=queried)

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

    @cached_property
    def writers_of(self) -> Mapping[str, Sequence[str]]:
        """The names of the processors of each output table."""
        writers: dict[str, list[str]] = {}
        for processor in self.processors.values():
            writers.setdefault(processor.table, []).append(processor.name)
        return writers

    @cached_property
    def with_period(self) -> tuple[Processor, ...]:
        """The processors of which one attempt takes a whole period."""
        return tuple(p for p in self.processors.values() if p.attempt_period)

    @cached_property
    def followers(self) -> Mapping[str, tuple[Processor, ...]]:
        """The processors of the same state that run after each processor, by its name."""
        found: dict[str, list[Processor]] = {name: [] for name in self.processors}
        for stage in self.stages:
            names = {p.name for p in stage.processors}
            for processor in stage.processors:
                for name in names.intersection(processor.predecessors):
                    found[name].append(processor)
        return {name: tuple(after) for name, after in found.items()}

    @cached_property
    def feeding_batches(self) -> frozenset[str]:
        """The processors that one follows which takes several dates, without a period that makes it wait."""
        into_batches = {stage.index for stage in self.stages if any(p.batch > 1 for p in stage.processors)}
        return frozenset(
            name
            for name, stage in self.stage_of.items()
            if stage.index + 1 in into_batches or any(p.batch > 1 for p in self.followers[name])
        )

    @cached_property
    def references(self) -> Mapping[str, str]:
        """The processor that each processor with a ratio, or keys of another one, is compared with."""
        return {name: of for name, p in self.processors.items() if (of := p.expect.reference)}

    @cached_property
    def check_commands(self) -> Mapping[str, CommandCheck]:
        """The check command of each processor that has one, by its name."""
        return {name: p.expect.check for name, p in self.processors.items() if p.expect.check}

    @cached_property
    def judging_order(self) -> tuple[str, ...]:
        """All processors, each after the one that it is compared with."""
        graph = {name: [self.references[name]] if name in self.references else [] for name in self.processors}
        return tuple(graphlib.TopologicalSorter(graph).static_order())

    @property
    def stale_after(self) -> float:
        """Seconds after which an open run of the history counts as never closed; 0 without a history."""
        return self.history.stale_after if self.history else 0.0

    def job_settings(self, processor: str) -> JobSettings:
        """How the jobs of a processor run; the defaults for a processor that the file no longer has."""
        return self.processors.get(processor, self.jobs)

    def executor_of(self, processor: Processor) -> ExecutorSettings:
        """The settings of the executor that runs a processor's jobs."""
        return self.executor[processor.executor]

    @cached_property
    def pool_sizes(self) -> Mapping[str, int]:
        """The sizes of pools, by name."""
        return {pool.name: pool.size for pool in self.pool}

    @cached_property
    def windows_of(self) -> Mapping[str, tuple[ClosedHours, ...]]:
        """The closed hours of each processor that has any, by its name."""
        hours = {
            name: tuple(w.closed_hours(self.timezone) for w in self.window if w.concerns(name, p.pool))
            for name, p in self.processors.items()
        }
        return {name: closed for name, closed in hours.items() if closed}

    def pool_of(self, processor: str) -> str | None:
        """The pool of a processor; None without one, and for a processor that the file no longer has."""
        return self.processors[processor].pool if processor in self.processors else None

    def sequence_of(self, processor: Processor) -> str | None:
        """The name of a processor's phase if that is sequential, else None."""
        phase = self.stage_of[processor.name].phase
        return phase.name if phase.sequential else None

    @cached_property
    def stage_of(self) -> Mapping[str, Stage]:
        """The stage of each processor, by its name."""
        return {p.name: stage for stage in self.stages for p in stage.processors}

    def is_source(self, processor: str) -> bool:
        """Whether a processor belongs to the first phase: the sources of a backfill may leave it out."""
        return self.stage_of[processor].phase is self.phase[0]

    @cached_property
    def stage(self) -> Mapping[str, Stage]:
        """Stages by state name."""
        return {stage.name: stage for stage in self.stages}

    def lookback(self, phase: Phase) -> Lookback:
        """The lookback of a phase: as stated, else the season for sequential phases with seasons, else 0."""
        if phase.lookback is not None:
            return phase.lookback
        return "season" if phase.sequential and self.calendar.season else 0

    @cached_property
    def needs(self) -> NeedsGraph:
        """The graph of needs: by the states of a date, each phase's `lookback`, and what processors state."""
        needs = {p.name: self._needs_of(stage, p) for stage in self.stages for p in stage.processors}
        return NeedsGraph(needs, self.seasons)

    def _needs_of(self, stage: Stage, processor: Processor) -> list[Need]:
        """The state before on the same date, and earlier dates; windows that are alike are one need."""
        before = self.stages[stage.index - 1].processors if stage.index else ()
        stated = list(self._stated_needs(stage, processor))
        covered = {name for name, _, same_date in stated if same_date}
        inputs: list[_StatedNeed] = [*((p.name, 0, True) for p in before if p.name not in covered), *stated]
        needs = []
        if period := processor.output_period:  # computed from every date of its period
            of_each_date = dict.fromkeys(name for name, _, same_date in inputs if same_date)
            needs.append(Need(of=tuple(of_each_date), lookback=period, since=processor.since))
            inputs = [one for one in inputs if one[1] != 0]
        windows: dict[tuple[Lookback, bool], list[str]] = {}
        for name, lookback, same_date in inputs:
            windows.setdefault((lookback, same_date), []).append(name)
        return needs + [
            Need(of=tuple(dict.fromkeys(names)), lookback=lookback, same_date=same_date)
            for (lookback, same_date), names in windows.items()
        ]

    def _stated_needs(self, stage: Stage, processor: Processor) -> Iterator[_StatedNeed]:
        """Processors with a window, and whether it includes the date itself."""
        place = self.phase.index(stage.phase)
        if processor.needs is None:
            before = self.phase[place - 1].processor if place else ()
            yield from ((p.name, self.lookback(stage.phase), True) for p in before)
        past: Lookback = "season" if self.calendar.season else processor.since or "past"
        for need in processor.needs or ():
            if need.of is None:
                yield processor.name, past if need.lookback is None else need.lookback, False
            else:
                yield need.of, need.lookback or 0, True
        if processor.depends_on_past:
            yield processor.name, past, False

    def bootstrap_days(self, processor: Processor) -> int:
        """The number of days at a season's start on which nothing is expected of a processor."""
        if processor.expect.bootstrap_days is not None:
            return processor.expect.bootstrap_days
        phase = self.stage_of[processor.name].phase
        return self.calendar.bootstrap_days if phase.skip_bootstrap else 0

    def expects(self, processor: Processor, day: Day) -> bool:
        """Whether a processor has output on a day: it is expected, and no bootstrap day of the processor."""
        return (
            day.expected
            and not self.off_reason(processor, day)
            and not day.in_bootstrap(self.bootstrap_days(processor))
        )

    def off_reason(self, processor: Processor, day: Day) -> str:
        """Why a processor has no output on a day by its `days`, `since` and `until`; empty where it has."""
        days = self.output_days.get(processor.name)
        return outside(day, processor.since, processor.until) or (days.exclusion(day) if days else "")

    @cached_property
    def output_days(self) -> Mapping[str, OutputDays | None]:
        """The days on which each processor has output, by its name; None: each day."""
        return {
            p.name: PeriodEnds(period=p.output_period, may_have_output=partial(self._may_have_output, p))
            if p.output_period
            else self.recurring_days.get(p.days or "")
            for p in self.processors.values()
        }

    def _may_have_output(self, processor: Processor, date: dt.date) -> bool:
        """Whether the file alone lets a processor have output on a date, were it not for `period_output`."""
        day, days = self.seasons.day(date, None), self.recurring_days.get(processor.days or "")
        off = day.reason or outside(day, processor.since, processor.until) or (days and days.exclusion(day))
        return not (off or day.in_bootstrap(self.bootstrap_days(processor)))

    def command_dates(self, processor: Processor, dates: Sequence[dt.date]) -> Sequence[dt.date]:
        """The dates that the command for `dates` names: the whole period, if its last date has the output."""
        ends = self.output_days[processor.name]
        return ends.dates(dates[-1]) if isinstance(ends, PeriodEnds) else dates

    @cached_property
    def recurring_days(self) -> Mapping[str, RecurringDays]:
        """The days of `[[calendar.days]]` by name."""
        return {days.name: days.recurring_days for days in self.calendar.days}

    def judge_context(self, processor: Processor | None, **facts: Any) -> JudgeContext:
        """The context in which `judge` sees a processor, with what is known of one of its dates.

        None: a processor that the file no longer has.
        """
        if processor is None:
            return JudgeContext(stale_after=self.stale_after, **facts)
        return JudgeContext(
            stale_after=self.stale_after,
            bootstrap_days=self.bootstrap_days(processor),
            since=processor.since,
            until=processor.until,
            days=self.output_days.get(processor.name),
            **facts,
        )

    def provisional_until(self, processor: str, date: dt.date) -> float | None:
        """When the output of a date becomes final, in epoch seconds; None where it is final at once."""
        final_after = self.processors[processor].final_after if processor in self.processors else None
        return None if final_after is None else date_end(date, ZoneInfo(self.timezone)) + final_after

    def bypassed(self, stage: Stage, day: Day) -> bool:
        """Whether a date skips the stage as one of its season's bootstrap days."""
        processors = stage.phase.processor
        return stage.phase.skip_bootstrap and all(
            day.in_bootstrap(self.bootstrap_days(p)) for p in processors
        )
