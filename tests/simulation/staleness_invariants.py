"""What must hold of the marks of done dates, `regressed` and `stale`: they say what is so, and go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backfilld.state.pipeline.phase import DONE
from backfilld.state.pipeline.processor import Processor
from tests.simulation.quiescence_invariants import Row, Violation, day_of

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

UNCERTAIN = ("unknown", "running")


class StalenessInvariants:
    """Looks at the done dates of a world at rest."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants

    def look(self) -> None:
        """Marks follow from the verdicts, whatever the warehouse would say by now.

        Raises:
            Violation: an invariant does not hold.
        """
        for date in self._done():
            row = self._invariants.dates[date]
            known = [self._invariants.checks.get((date, name)) for name in self._sim.pipeline.processors]
            selected = self._invariants.sharing.selected_at_end(date)
            own = [c for c in known if c and (selected is None or c["processor"] in selected)]
            lacking = [c["processor"] for c in own if not c["satisfied"] and self._is_missing(c)]
            # While the warehouse does not answer, what was known before stays.
            unanswered = any(c["verdict"] in UNCERTAIN and not c["satisfied"] for c in own)
            if bool(lacking) != bool(row["regressed"]) and not (row["regressed"] and unanswered):
                told = f"{date} lacks {lacking} and tells: '{row['regressed']}'"
                raise Violation("a done date tells what it lacks", told)
            windows_hold = not self._sim.scenario.edits_windows
            if (
                windows_hold
                and row["stale_at"] is None
                and (why := next(self._invariants.needs.outdated(date), ""))
            ):
                raise Violation("what is computed from older rows is stale", why)
        self._invariants.stale_truth.look(self._done())

    @staticmethod
    def _is_missing(check: Row) -> bool:
        """Whether an output is known to be missing, or was queried and never counted."""
        never_seen = check["verdict"] == "unknown" and check["asked_at"] is not None and check["rows"] is None
        return never_seen or check["verdict"] not in UNCERTAIN

    def stale_debt_is_paid(self, since: float) -> None:
        """After a retry of all that was stale then, where nothing went wrong: no done date is stale.

        A failed date may keep others stale: it is computed again by a retry of its own. So may an input that
        others wrote before the retry, and whose rows a query has shown only since: the next retry pays that.

        Raises:
            Violation: a date is stale still.
        """
        left = [date for date in self._done() if self._invariants.dates[date]["stale_at"] is not None]
        unfinished = self._invariants.failed() or self._invariants.live()
        if left and not unfinished and not self._foreign_writes_noticed(since):
            raise Violation("a retry of what is stale pays all of it", f"{left} are stale still")

    def _foreign_writes_noticed(self, since: float) -> list[Row]:
        """The causes of marks that were noticed since a time, of inputs that others wrote last."""
        noticed = self._invariants.rows("SELECT * FROM stale_causes WHERE at >= ? AND was_stale = 0", since)
        foreign = self._sim.platform.foreign
        return [row for row in noticed if (row["upstream"], day_of(row["upstream_date"])) in foreign]

    def nothing_lacks(self) -> None:
        """At the very end no date is marked, and the tables show why: all is right.

        Raises:
            Violation: an invariant does not hold.
        """
        self.look()
        for date in self._done():
            row = self._invariants.dates[date]
            if row["regressed"] or row["stale_at"] is not None:
                raise Violation("liveness", f"{date} stays marked, whatever is done: {row}")
            lacking = [p.name for p in self._sim.pipeline.processors.values() if self._lacks(date, p)]
            if lacking:
                raise Violation("a done date tells what it lacks", f"{date} lacks {lacking}, unnoticed")

    def _done(self) -> Iterator[str]:
        """The done dates on which something was expected."""
        for date, row in self._invariants.dates.items():
            if row["state"] == DONE and row["outcome"] != "not_expected":
                yield date

    def _lacks(self, date: str, processor: Processor) -> bool:
        """Whether a table does not hold what is right, and nobody knows of a reason."""
        check, pair = self._invariants.checks[date, processor.name], (processor.name, day_of(date))
        if check["accepted_reason"] or check["waived_by"] or not self._invariants.asks(date, processor):
            return False
        evidence = self._sim.warehouse.look(*pair)
        compared = self._invariants.is_compared(date, processor)
        return not self._sim.platform.complete(pair, evidence, compared=compared)
