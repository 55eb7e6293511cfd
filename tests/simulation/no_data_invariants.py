"""Nothing is given up untried: what must hold when a date fails, or goes on, for want of data."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from backfilld.state.rules.state_machine import FINAL, Trigger
from tests.simulation.quiescence_invariants import Row, Violation
from tests.simulation.sharing_invariants import selects

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

_CLEAN = (
    "SELECT count(*) AS n, max(a.ended_at) AS last FROM attempts a"
    " JOIN attempt_dates d ON d.attempt_id = a.id"
    " WHERE d.date = ? AND a.processor = ? AND a.output = ? AND a.exit_code = 0 AND a.claimed_at >= ?"
)
_RESTARTING = "SELECT backfill_id FROM backfill_dates WHERE date = ? AND live = 1 AND awaits_admission = 1"
NO_DATA = "no data: "


class NoDataInvariants:
    """Counts attempts by the attempts themselves, not by what the checks say of them."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self.requested: dict[str, float] = defaultdict(float)
        """When each date was requested last, by an operator or by its recovery."""
        self._kept: dict[tuple[str, str], tuple[float, str]] = {}
        """When an output was requested last that its date goes without since, and why it does."""

    def moved(self, move: Row, trigger: Trigger, *, last: bool) -> None:
        """A date has moved; `last`: as its row stands now.

        Raises:
            Violation: it was given up without its attempts, or recovered without its output.
        """
        if trigger is Trigger.RECOVER:
            self._recovered(move)
        if trigger in (Trigger.RETRY, Trigger.RECOVER):
            self._keep(move["date"])
            self.requested[move["date"]] = move["at"]
        if trigger is Trigger.FAIL and last:
            self._failed(move["date"])

    def _keep(self, date: str) -> None:
        """A date is requested once more: what it goes without counts as tried unless the request tries it."""
        row = self._invariants.dates[date]
        requests = [
            self._invariants.requests[one["backfill_id"]] for one in self._invariants.rows(_RESTARTING, date)
        ]
        for name in self._sim.pipeline.processors:
            check = self._invariants.checks.get((date, name))
            waived = check is not None and check["waived_by"] and row["mode"] == "normal"
            again = any(selects(one, name) for one in requests if one["cancelled_at"] is None)
            if check is None or not waived or again or (row["cascades"] and check["stale_at"] is not None):
                self._kept.pop((date, name), None)
            else:
                self._kept.setdefault((date, name), (self.requested[date], check["waiver_reason"]))

    def _failed(self, date: str) -> None:
        reason = self._invariants.dates[date]["reason"]
        name, _, rest = reason.partition(": ")
        if rest.startswith(NO_DATA):
            self._was_tried(self._invariants.checks[date, name])

    def waived(self, check: Row) -> None:
        """A date goes on without an output.

        Raises:
            Violation: it was given up for want of data without its attempts.
        """
        _, kept = self._kept.get((check["date"], check["processor"]), (0.0, ""))
        # What an earlier request decided, it decided by the file of then.
        if NO_DATA in check["waiver_reason"] and check["waiver_reason"] != kept:
            self._was_tried(check)

    def _recovered(self, move: Row) -> None:
        row = self._invariants.dates[move["date"]]
        names = move["reason"].removesuffix(" appeared").split(", ")
        missing = [name for name in names if not self._appeared(move["date"], name)]
        ended = row["state"] in FINAL  # in the same commit, so that nobody wants it any more
        if missing or not (ended or self._invariants.sharing.owners(row["date"])):
            raise Violation("recovered only by what appeared", f"{move['date']}: {move['reason']}")

    def _appeared(self, date: str, name: str) -> bool:
        """Whether an output is there, or none is expected any more.

        A forced one still owes its rewrite, which sources may not run.
        """
        well = self._invariants.checks[date, name]["verdict"] in ("complete", "not_expected")
        return well or (date, name) in self._invariants.satisfied

    def _was_tried(self, check: Row) -> None:
        processor = self._sim.pipeline.processors[check["processor"]]
        told = f"{processor.name} of {check['date']} is given up"
        key = check["date"], processor.name, processor.table
        (clean,) = self._invariants.rows(_CLEAN, *key, self._requested_at(check["date"], processor.name))
        needed = min(processor.no_data_attempts, processor.max_attempts)
        if processor.no_data == "try" and clean["n"] < needed:
            raise Violation("nothing is given up untried", f"{told} after {clean['n']} of {needed} attempts")
        confirmed = clean["last"] is None or check["asked_at"] >= clean["last"] + processor.confirm_after
        if not confirmed and not self._sim.scenario.sets_clock:
            raise Violation("nothing is given up unconfirmed", f"{told} by the answer of {check['asked_at']}")

    def _requested_at(self, date: str, name: str) -> float:
        if self._sim.scenario.sets_clock:
            return 0.0
        requested, _ = self._kept.get((date, name), (self.requested[date], ""))
        return requested
