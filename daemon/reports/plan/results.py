"""What a plan tells: steps in order, what cannot run and why, how long it takes and what it costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfilld.state.records import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One job to run. Every step that it needs stands before it."""

    number: int
    phase: str
    stage: str
    processor: str
    dates: Sequence[dt.date]
    argv: Sequence[str]
    cwd: str
    env: Mapping[str, str]
    prepare: str
    """What must be run before, such as writing the file of dates; or empty."""
    shell: str
    """All of it as one line to copy into a shell: directory, environment, preparation, command."""
    reason: str
    """Why it has to run: never ran, partial with the figures, failed with the error."""
    reasons: Mapping[dt.date, str]
    needs: Sequence[int]
    """The numbers of the steps that must have ended well before it starts."""
    waits_for: Sequence[str]
    """The same in words, with the earlier dates that a sequential phase looks back upon."""
    seconds: float | None
    basis: str
    """Where `seconds` comes from: past attempts, estimate, or unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """The steps of one phase. `seconds` is its wall-clock time, of the steps whose time is known."""

    phase: str
    order: str
    steps: Sequence[Step]
    seconds: float
    unknown_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CannotRun:
    """Dates for which a phase cannot be gone through, whatever the plan runs before."""

    phase: str
    dates: Sequence[dt.date]
    processors: Sequence[str]
    """What these dates lack in the phase and nobody runs."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWaiver:
    """What dates go without, and why they may."""

    processor: str
    dates: Sequence[dt.date]
    by: str
    """fallback, policy or operator."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recompute:
    """A date whose sequential phases are to run again, since an earlier date was repaired at `at`."""

    date: dt.date
    repaired: dt.date
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """About what the engine's questions to the warehouse cost. `bytes` is None where nobody can tell."""

    queries: int
    bytes: int | None
    dollars: float | None
    """At the on-demand list price; None where the warehouse costs nothing, or nobody can tell."""
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What share of the (processor, date) pairs of a phase there will be, 0 to 100; None of none."""

    phase: str
    complete: int
    expected: int
    percent: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would run for a range of dates, in order."""

    start: dt.date
    end: dt.date
    dates: int
    sources: Sources
    phases: Sequence[PhasePlan]
    cannot_run: Sequence[CannotRun]
    waivers: Sequence[PlannedWaiver]
    stale: Sequence[Recompute]
    """Complete, and no step here: `backfilld retry --stale` runs them."""
    coverage: Sequence[Coverage]
    expected_dates: int
    done_dates: int
    """How many of the expected dates come to their end, if every step does what it should."""
    seconds: float
    """Phase after phase; the engine lets dates flow and is faster."""
    unknown_steps: int
    """How many steps have no known time, and count as nothing in `seconds`."""
    cost: Cost
    summary: str

    @property
    def steps(self) -> list[Step]:
        """All steps in order."""
        return [step for phase in self.phases for step in phase.steps]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The plans of all ways to treat the sources, side by side: all, critical, none."""

    start: dt.date
    end: dt.date
    dates: int
    options: Sequence[Plan]
