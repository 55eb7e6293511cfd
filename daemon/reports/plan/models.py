"""The parts of a plan: steps in order, what cannot run and why, duration and cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.reports.remedies import retry_command
from backfilld.state.records import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One job to run. Every step that it needs comes before it."""

    number: int
    phase: str
    stage: str
    processor: str
    dates: Sequence[dt.date]
    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    prepare: str
    """A shell command to run before, which writes the file of dates that `$dates_file` names; or empty."""
    shell: str
    """One line to paste into a shell: directory, environment, preparation, command."""
    reason: str
    """Why it has to run: never ran, partial with the figures, failed with the error."""
    reasons: Mapping[dt.date, str]
    needs: Sequence[int]
    """The numbers of the steps that must succeed before it starts."""
    waits_for: Sequence[str]
    """The same in words, with the lookback dates of a sequential phase."""
    seconds: float | None
    basis: str
    """Where `seconds` comes from: past attempts, estimate, or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """The steps of one phase. `seconds` is the wall-clock time of the steps whose time is known."""

    phase: str
    order: str
    steps: Sequence[Step]
    seconds: float
    unknown_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CannotRun:
    """Dates that cannot pass a phase, whatever the plan runs before."""

    phase: str
    dates: Sequence[dt.date]
    processors: Sequence[str]
    """The processors of the phase that stay incomplete on these dates."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWaiver:
    """A processor that dates pass without, and why they may."""

    processor: str
    dates: Sequence[dt.date]
    by: str
    """fallback, policy or operator."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recompute:
    """A stale date: what is stale of it must run again. The latest cause is of `repaired`, at `at`."""

    date: dt.date
    repaired: dt.date
    at: float
    reason: str
    """Which of its outputs are stale, each with its causes."""
    failed: bool = False
    """Whether it has failed: a retry of stale dates leaves it out."""

    @property
    def remedy(self) -> str:
        """The command that computes it again."""
        return f"{retry_command([self.date])} --cascade" if self.failed else "backfilld retry --stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Estimated cost of the engine's warehouse queries. `bytes` is None where it is unknown."""

    queries: int
    bytes: int | None
    dollars: float | None
    """At the on-demand list price; None where the warehouse costs nothing or the cost is unknown."""
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The (processor, date) pairs of a phase that will be complete; `percent` is 0 to 100, or None."""

    phase: str
    complete: int
    expected: int
    percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The opening of a window that steps wait for. `opens_at` is None where it is never open that long."""

    window: str
    opens_at: float | None
    processors: Sequence[str]
    steps: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would run for a range of dates, in order."""

    start: dt.date
    end: dt.date
    dates: int
    sources: Sources
    select: Sequence[str] | None
    """The selected processors; None: all of them."""
    phases: Sequence[PhasePlan]
    cannot_run: Sequence[CannotRun]
    waivers: Sequence[PlannedWaiver]
    stale: Sequence[Recompute]
    """Complete by their rows, so without a step here: the `remedy` of each runs what is stale of it."""
    becomes_stale: Mapping[str, int]
    """By processor: on how many dates of the range, at most, its output becomes stale."""
    stale_until: dt.date | None
    """The last date after the range of which an output may become stale; None: no later date."""
    check_commands: Mapping[str, int]
    """By processor with a check command: on how many dates it runs, after a step or without one."""
    coverage: Sequence[Coverage]
    expected_dates: int
    done_dates: int
    """How many of the expected dates finish, if every step completes its output."""
    seconds: float
    """Phase after phase; the engine overlaps phases and is faster."""
    unknown_steps: int
    """How many steps have no known time; they count 0 in `seconds`."""
    openings: Sequence[Opening]
    """The openings of windows that steps wait for, the earliest first, if the plan starts now."""
    finish_at: float | None
    """When the last step ends at the earliest, in epoch seconds; None where a window never lets one start."""
    cost: Cost
    summary: str

    @property
    def steps(self) -> list[Step]:
        """All steps in order."""
        return [step for phase in self.phases for step in phase.steps]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOption:
    """One way to start: on how many `dates` a job runs, how long it takes, what it costs, what it proves."""

    start: str
    dates: int
    """Those that the window needs are included."""
    steps: int
    seconds: float
    unknown_steps: int
    cost: Cost
    done_dates: int
    proves: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowNeed:
    """The earlier dates of a processor that a test window needs, and those that are not satisfied."""

    processor: str
    dates: Sequence[dt.date]
    missing: Sequence[dt.date]


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPeriod:
    """A week or month of a processor with `period` that has dates inside and outside of a test window."""

    processor: str
    period: str
    dates: Sequence[dt.date]
    """Those outside the window, which the window needs too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingPoints:
    """The whole range in order, a test window alone, and the window first: side by side.

    No option runs `before_range`: missing dates that the window needs and that lie before the range.
    """

    window_start: dt.date
    window_end: dt.date
    needs: Sequence[WindowNeed]
    cut_periods: Sequence[CutPeriod]
    before_range: Sequence[dt.date]
    options: Sequence[StartOption]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The plans for each choice of sources: all, critical, none; and where to start with all of them."""

    start: dt.date
    end: dt.date
    dates: int
    options: Sequence[Plan]
    starting_points: StartingPoints | None
    """None where nothing is to run, or the range is no longer than a test window."""
