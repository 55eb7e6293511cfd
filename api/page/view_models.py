"""What the pages show beyond the API's own answers: the calendar of all dates, plans in short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from backfilld.api.page import calendar_grid
from backfilld.api.page.date_styles import DateStyle, DateStyles
from backfilld.api.ports import DaemonService
from backfilld.api.schemas.plans import Plan, Step
from backfilld.api.schemas.responses import Check, Date
from backfilld.state.pipeline.phase import PENDING
from backfilld.state.store import attempts, queries
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The jobs that a plan has for one processor: the first of them, how many, and seconds of all."""

    first: Step
    jobs: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class CalendarImage:
    """The calendar grid as it stood at `version`."""

    version: str
    rows: Sequence[calendar_grid.Row]

    @property
    def shown(self) -> set[DateStyle]:
        """The kinds that some date has."""
        return {layer.kind for row in self.rows for layer in row.layers}


def calendar_image_version(service: DaemonService) -> str:
    """Differs whenever the grid would look different: a date has moved, a job has begun or ended."""
    with service.context.db.read() as tx:
        return _version(tx, [row.id for row in attempts.running(tx)])


def calendar_image(service: DaemonService, kinds: DateStyles) -> CalendarImage:
    """The calendar grid of all dates."""
    with service.context.db.read() as tx:
        under_way = [row.id for row in attempts.running(tx)]
        version = _version(tx, under_way)
        cells = queries.calendar(tx)
        covered = attempts.covered(tx, under_way)
    running = {date for own in covered.values() for date in own}
    return CalendarImage(version, calendar_grid.rows(cells, service.pipeline.seasons, kinds, running))


def _version(tx: Transaction, under_way: Sequence[int]) -> str:
    return "-".join((queries.calendar_version(tx), *map(str, under_way)))


def path(told: Date) -> set[str]:
    """The states that a date went through since it was put to `pending` the last time."""
    passed: set[str] = set()
    for move in told.transitions:
        passed = set() if move.target == PENDING else passed | {move.source}
    return passed


def by_phase(told: Date) -> list[tuple[str, list[Check]]]:
    """The verdicts of a date, phase by phase, in the pipeline's order."""
    return [(phase, list(own)) for phase, own in groupby(told.processors, lambda one: one.phase or "")]


def summarize_plan(plan: Plan) -> Iterator[tuple[str, list[Work]]]:
    """By phase, the jobs of each processor, in the order in which they would run."""
    for phase in plan.phases:
        steps: dict[str, list[Step]] = {}
        for step in phase.steps:
            steps.setdefault(step.processor, []).append(step)
        yield (
            phase.phase,
            [
                Work(first=own[0], jobs=len(own), seconds=_together([step.seconds for step in own]))
                for own in steps.values()
            ],
        )


def _together(seconds: Sequence[float | None]) -> float | None:
    known = [one for one in seconds if one is not None]
    return sum(known) if len(known) == len(seconds) else None
