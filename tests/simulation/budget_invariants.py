"""What must hold of daily budgets: nothing starts beyond them, and what was used is written down."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from backfilld.state.pipeline.processor import Processor
from tests.simulation.quiescence_invariants import Broken

if TYPE_CHECKING:
    from tests.simulation.invariants import Witness
    from tests.simulation.simulation import Life


class Spent:
    """Counts on its own what is used of each budget."""

    def __init__(self, life: Life, witness: Witness) -> None:
        self._life = life
        self._witness = witness
        self._zone = ZoneInfo(life.pipeline.quota_timezone)
        self._attempts: Counter[tuple[str, str]] = Counter()

    def claimed(self, processor: Processor) -> None:
        """An attempt of a table begins.

        Raises:
            Broken: the table has had all that it may have on this day.
        """
        if processor.daily_attempts is None:
            return
        day = str(dt.datetime.fromtimestamp(self._life.time, self._zone).date())
        self._attempts[processor.table, day] += 1
        here = "SELECT extra FROM budgets WHERE kind = 'table' AND key = ? AND day = ?"
        extra = sum(row["extra"] for row in self._witness.rows(here, processor.table, day))
        if self._attempts[processor.table, day] > processor.daily_attempts + extra:
            told = f"attempt {self._attempts[processor.table, day]} of {processor.table} on {day}"
            raise Broken("daily budgets", f"{told}, of {processor.daily_attempts} and {extra}")

    def look(self) -> None:
        """What the daemon has written down equals what was used, but for what it was killed in between.

        Raises:
            Broken: it does not.
        """
        kept: Counter[str] = Counter()
        for row in self._witness.rows("SELECT kind, spent FROM budgets"):
            kept[row["kind"]] += row["spent"]
        used = {"table": self._attempts.total(), "warehouse": self._life.warehouse.billed}
        lost = self._life.kills and kept["warehouse"] < used["warehouse"]
        if kept["table"] != used["table"] or (kept["warehouse"] != used["warehouse"] and not lost):
            raise Broken("counts equal rows", f"budgets keep {dict(kept)} of {used}")
