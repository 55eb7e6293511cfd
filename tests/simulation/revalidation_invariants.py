"""What must hold of ended dates that are validated again: what could not be queried does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backfilld.state.pipeline.phase import DONE, FAILED
from tests.simulation.quiescence_invariants import Violation, day_of

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

HOUR = 3600.0
"""Seconds after which every failed date is queried again."""
SLACK = 1.0


class RevalidationInvariants:
    """Compares what the daemon says it validated with the answers of the warehouse."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._validated: dict[str, float | None] = {}

    def look(self) -> None:
        """A done date counts as validated only where each of its tables gave an answer just now.

        Another one comes due again after the recheck interval.

        Raises:
            Violation: one counts as validated for longer.
        """
        engine = self._sim.pipeline.engine
        for date, row in self._invariants.dates.items():
            before, self._validated[date] = self._validated.get(date), row["swept_at"]
            if row["swept_at"] in (before, None) or row["state"] != DONE or self._sim.scenario.sets_clock:
                continue
            due = row["swept_at"] + engine.revalidate_within
            unanswered = [name for name in self._sim.pipeline.processors if not self._answered(date, name)]
            if unanswered and due > self._sim.time + engine.recheck_interval + SLACK:
                told = f"{date} counts as validated, {unanswered} could not be queried"
                raise Violation("done is looked at again", told)

    def _answered(self, date: str, name: str) -> bool:
        """Whether a table answered the latest query, or there is nothing to query it for."""
        if (date, name) not in self._invariants.checks:
            return True
        since = self._sim.time - 2 * self._sim.scenario.query_seconds - SLACK
        answers = self._sim.warehouse.answers.get((name, day_of(date)), {})
        return any(at >= since and not evidence.error for at, evidence in answers.items())

    def an_hour_later(self) -> None:
        """Let an hour pass: then the daemon knows the calendar of the failed dates as it is.

        Raises:
            Violation: of one of them it does not.
        """
        sim = self._sim
        if sim.scenario.sets_clock or not sim.scenario.changes_calendar or not self._invariants.failed():
            return
        sim.advance(sim.time + HOUR)
        sim.engine.recheck_calendar()
        sim.engine.recheck_failed()
        sim.wake()
        sim.run_until_quiescent()
        held = any(hold["kind"] == "warehouse" for hold in self._invariants.placed)
        for date, row in self._invariants.dates.items():
            waits = row["state"] == FAILED and row["outcome"] != "cancelled" and not held
            known = self._invariants.day(day_of(date)).counts["games"]
            if waits and known != sim.games.get(day_of(date), 0):
                raise Violation("failed is looked at again", f"{date} failed, and still counts {known} games")
