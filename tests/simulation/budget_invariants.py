"""What must hold of daily budgets: nothing starts beyond them, and what was used is written down."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from backfilld.state.pipeline.processor import Processor
from tests.simulation.quiescence_invariants import Violation

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation


class BudgetInvariants:
    """Counts on its own what is used of each budget."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._zone = ZoneInfo(sim.pipeline.quota_timezone)
        self._attempts: Counter[tuple[str, str]] = Counter()

    def claimed(self, processor: Processor) -> None:
        """An attempt of a table begins.

        Raises:
            Violation: the table has had all that it may have on this day.
        """
        if processor.daily_attempts is None:
            return
        day = str(dt.datetime.fromtimestamp(self._sim.time, self._zone).date())
        self._attempts[processor.table, day] += 1
        here = "SELECT extra FROM budgets WHERE kind = 'table' AND key = ? AND day = ?"
        extra = sum(row["extra"] for row in self._invariants.rows(here, processor.table, day))
        if self._attempts[processor.table, day] > processor.daily_attempts + extra:
            told = f"attempt {self._attempts[processor.table, day]} of {processor.table} on {day}"
            raise Violation("daily budgets", f"{told}, of {processor.daily_attempts} and {extra}")

    def look(self) -> None:
        """What the daemon has written down equals what was used, but for what it was killed in between.

        Raises:
            Violation: it does not.
        """
        kept: Counter[str] = Counter()
        for row in self._invariants.rows("SELECT kind, spent FROM budgets"):
            kept[row["kind"]] += row["spent"]
        used = {"table": self._attempts.total(), "warehouse": self._sim.warehouse.billed}
        lost = self._sim.kills and kept["warehouse"] < used["warehouse"]
        if kept["table"] != used["table"] or (kept["warehouse"] != used["warehouse"] and not lost):
            raise Violation("counts equal rows", f"budgets keep {dict(kept)} of {used}")
