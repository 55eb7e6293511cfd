"""A copy of the state database, and its restoration by the documented steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation


class StateCopies:
    """The latest copy of one world's state database, with what the invariants knew of it by then."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._copy: tuple[bytes, Invariants] | None = None

    def make(self) -> None:
        """Copy the database."""
        self._copy = self._sim.db.raw.serialize(), self._sim.invariants.copy()

    def restore(self) -> None:
        """Put the copy in place of the database, once the jobs that it does not know have ended."""
        if self._copy is None:
            return
        sim, (database, invariants) = self._sim, self._copy
        sim.db.raw.deserialize(database)
        sim.invariants = invariants.copy()
        sim.db.on_commit = sim.invariants.committed
        (row,) = sim.invariants.rows("SELECT max(id) AS id FROM attempts")
        latest, alive = row["id"] or 0, sim.executor.alive
        while ends := [p.ends for n, p in alive.items() if n > latest and p.ends < math.inf]:
            sim.advance(max(ends))
        for known in (alive, sim.executor.ended):
            for number in [number for number in known if number > latest]:
                known.pop(number)
        sim.invariants.truth.restored()
