"""What must hold of attempts of whole periods, computed date by date, without the product's rules.

No attempt starts while an expected date of its period is not ready. It takes all that are ready, where its
command can name them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from backfilld.state.pipeline.processor import Processor
from tests.simulation.output_dates import period_dates, runs_by_period
from tests.simulation.quiescence_invariants import Row, Violation, day_of

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation


class PeriodInvariants:
    """Looks at attempts of periods when they are claimed, and at dates that wait for their period."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._claimed: set[int] = set()

    def claimed(self) -> None:
        """New attempts take their whole period.

        Raises:
            Violation: one of them left a date out that is not ready, or that was.
        """
        for number, attempt in self._invariants.running.items():
            processor = self._sim.pipeline.processors.get(attempt["processor"])
            if number in self._claimed:
                continue
            self._claimed.add(number)  # once, by the file that it was claimed by
            if processor is None or not runs_by_period(processor):
                continue
            covered = self._invariants.covered[number]
            if unready := [d for d in self._unready(processor, covered[0], tried=False) if d not in covered]:
                told = f"{processor.name} of {covered} started while {unready} were not ready"
                raise Violation("a period is whole", told)
            checks = self._of_period(processor, covered[0])
            ready = [c["date"] for c in checks if c["runnable"] and c["date"] not in covered]
            if ready and "start" not in processor.placeholders:
                raise Violation(
                    "one attempt for a period", f"{processor.name} of {covered} leaves {ready} out"
                )

    def ready_together(self, processor: Processor, covered: Sequence[str]) -> set[str]:
        """The dates of an attempt, and those of its period that are ready: all come where the first does."""
        if not runs_by_period(processor):
            return set(covered)
        ready = [c["date"] for c in self._of_period(processor, covered[0]) if c["runnable"] == 1]
        return {*covered, *ready}

    def waits(self, row: Row) -> bool:
        """Whether a date waits for its period with reason: another date of it is not ready."""
        stage = self._sim.pipeline.stage.get(row["state"])
        for processor in stage.processors if stage else ():
            check = self._invariants.checks.get((row["date"], processor.name))
            if runs_by_period(processor) and check and check["runnable"] == 2:
                return any(date != row["date"] for date in self._unready(processor, row["date"], tried=True))
        return False

    def _unready(self, processor: Processor, date: str, *, tried: bool) -> Iterator[str]:
        """The expected dates of a period without output that cannot run; also those `tried` before."""
        for other in period_dates(processor, day_of(date)):
            if not (self._invariants.expected(other) and self._invariants.asks(str(other), processor)):
                continue
            check = self._invariants.checks.get((str(other), processor.name))
            settled = check is not None and (check["satisfied"] or check["runnable"] or _passes(check))
            if settled or self._was_held_just_now(str(other), processor):
                continue
            if tried or check is None or not check["attempt_count"]:
                yield str(other)

    def _was_held_just_now(self, date: str, processor: Processor) -> bool:
        """Whether this commit held a processor or its table, and nothing else keeps a date of it back.

        The attempt of one range of a period may be the last of its quota day: another range waits for the
        next one.
        """
        row = self._invariants.dates.get(date)
        before = [(hold["kind"], hold["key"]) for hold in self._invariants.held]
        new = [h for h in self._invariants.placed if (h["kind"], h["key"]) not in before]
        if row is None or not any(hold["key"] in (processor.name, processor.table) for hold in new):
            return False
        in_state = row["state"] == self._sim.pipeline.stage_of[processor.name].name
        return in_state and next(self._invariants.needs.missing(date, processor), None) is None

    def _of_period(self, processor: Processor, date: str) -> Iterator[Row]:
        for other in period_dates(processor, day_of(date)):
            if check := self._invariants.checks.get((str(other), processor.name)):
                yield check


def _passes(check: Row) -> bool:
    """Whether an output that may become stale in a cascade is complete: no job is needed as it is."""
    return check["mode"] == "cascade" and check["verdict"] in ("complete", "not_expected")
