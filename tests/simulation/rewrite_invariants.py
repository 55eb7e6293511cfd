"""What must hold of reruns: no forced date is complete while an output is what it was before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.quiescence_invariants import Row, Violation

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation


class RewriteInvariants:
    """Compares the write stamps of forced outputs when their dates are done."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._attempts: set[int] = set()
        self._forced: set[tuple[str, str]] = set()
        """The dates and processors whose latest attempt was to rewrite its output."""
        self.proven = 0
        """How many rewrites were proven."""

    def claimed(self) -> None:
        """Keep which of the new attempts are to rewrite their outputs."""
        for attempt in self._invariants.running.keys() - self._attempts:
            self._attempts.add(attempt)
            name = self._invariants.running[attempt]["processor"]
            for date in self._invariants.covered[attempt]:
                if self._invariants.checks[date, name]["mode"] == "force":
                    self._forced.add((date, name))
                else:
                    self._forced.discard((date, name))

    def admitted(self, date: str) -> None:
        """What an earlier request did not rewrite is not owed by one without force, or without its source.

        The rows of such a source are judged as they are. A job that runs after all owes its rewrite anew.
        """
        for pair in [pair for pair in self._forced if pair[0] == date]:
            if self._invariants.checks[pair]["mode"] != "force" or self._is_left_out(*pair):
                self._forced.discard(pair)

    def _is_left_out(self, date: str, name: str) -> bool:
        """Whether all that want a date leave a source out."""
        first = {p.name: p for p in self._sim.pipeline.phase[0].processor}
        wanted = {one["sources"] for one in self._invariants.sharing.owners(date)}
        if name not in first or not wanted or "all" in wanted:
            return False
        return "critical" not in wanted or first[name].priority != "critical"

    def completed(self, date: str) -> None:
        """Every forced output of a complete date was written, as far as the warehouse can tell.

        Raises:
            Violation: one is what it was before.
        """
        for pair in sorted(pair for pair in self._forced if pair[0] == date):
            check = self._invariants.checks[pair]
            if pair[1] not in self._sim.pipeline.processors or not self._is_provable(check):
                continue
            if self._sim.warehouse.write_stamp(self._invariants.pair(check)) == check["stamp_before"]:
                raise Violation("a rerun proves that it wrote", f"{date} is complete, {pair[1]} is untouched")
            self.proven += 1

    def _is_provable(self, check: Row) -> bool:
        passed = check["waived_by"] or check["accepted_reason"] or check["verdict"] == "not_expected"
        stamp = self._sim.warehouse.write_stamp(self._invariants.pair(check))
        return not passed and check["stamp_before"] is not None and stamp is not None
