"""What must hold of dates that several backfills want."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from backfilld.daemon.reports import stuck_backfills
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import backfills
from tests.simulation.quiescence_invariants import Row, Violation

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

_INTERESTS = "SELECT * FROM backfill_dates WHERE live = 1"
_AT_REST = ("finished", "cancelled", "stopped", "paused", stuck_backfills.STUCK)
_REQUESTED = "SELECT * FROM backfill_dates WHERE answer IN ('enqueued', 'joined')"


def is_paused(request: Row) -> bool:
    """Whether a backfill is paused or stopped."""
    return request["paused_at"] is not None or request["stopped_at"] is not None


def selects(request: Row, name: str) -> bool:
    """Whether a backfill lets a processor run."""
    return request["selection"] is None or name in json.loads(request["selection"])


class SharingInvariants:
    """Keeps who wants each date, after each commit and before it."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._before: dict[str, list[Row]] = {}
        self._now: dict[str, list[Row]] = {}
        self._cancelling: dict[str, set[int]] = {}
        self._stopping: set[int] = set()
        self.shared = 0
        """How often a date was found to be wanted by several backfills."""
        self.stuck = 0
        """How many backfills were stuck when a world had come to rest."""

    def owners(self, date: str) -> Sequence[Row]:
        """The backfills that want a date and are not cancelled."""
        return self._now.get(date, [])

    def read(self) -> None:
        """Read who wants each date, and look at what this commit has withdrawn.

        Raises:
            Violation: an invariant does not hold.
        """
        requests = self._invariants.requests
        self._before, self._now = self._now, defaultdict(list)
        cancelling: dict[str, set[int]] = defaultdict(set)
        for row in self._invariants.rows(_INTERESTS):
            request = requests[row["backfill_id"]]
            if request["cancelled_at"] is None:
                self._now[row["date"]].append(request)
            else:
                cancelling[row["date"]].add(request["id"])
        self.shared += sum(len(of_date) > 1 for of_date in self._now.values())
        self._cancels_are_kept()
        for date in self._cancelling.keys() & self._now.keys():
            self._invariants.taken_over(date)
        self._cancelling = {date: ids for date, ids in cancelling.items() if not self._now.get(date)}
        self._leads_want_their_dates()
        self._stops_nothing_wanted()

    def _cancels_are_kept(self) -> None:
        for date, cancelled in self._cancelling.items():
            row = self._invariants.dates[date]
            if row["state"] in FINAL and row["outcome"] != "cancelled":
                raise Violation("a stop stops", f"{date} was to be cancelled and is {row['outcome']}")
            if any(request["id"] in cancelled for request in self.owners(date)):
                raise Violation("a stop stops", f"{date} goes on for {cancelled}, which was cancelled")

    def _leads_want_their_dates(self) -> None:
        for date, row in self._invariants.dates.items():
            owners = self.owners(date)
            if row["state"] in FINAL and (owners or date in self._cancelling):
                raise Violation("every owner gets the outcome", f"{date} ended, {owners} want it")
            if row["state"] not in FINAL and not owners and date not in self._cancelling:
                raise Violation("every live date is wanted", f"{date} in {row['state']}")
            if not owners:
                continue
            if row["backfill_id"] not in {request["id"] for request in owners}:
                raise Violation("every live date is wanted", f"{date} is led by {row['backfill_id']}")
            if row["priority"] != max(request["priority"] for request in owners):
                raise Violation("the highest priority wins", f"{date} has {row['priority']}: {owners}")

    def _stops_nothing_wanted(self) -> None:
        """No attempt is stopped for a cancel while another backfill wants one of its dates."""
        stopping = {n for n, row in self._invariants.running.items() if row["stopping"] == "cancelled"}
        for number in stopping - self._stopping:
            name = self._invariants.running[number]["processor"]
            covered = self._invariants.covered[number]
            wanted = [date for date in covered if any(selects(one, name) for one in self.owners(date))]
            if wanted:
                raise Violation("what a cancel leaves wanted goes on", f"{wanted} is stopped")
        self._stopping = stopping

    def cancelled(self, date: str) -> None:
        """A date fails as cancelled only when nobody wanted it.

        Raises:
            Violation: a backfill did that was not cancelled.
        """
        if self._before.get(date):
            raise Violation("what a cancel leaves wanted goes on", f"{date} is cancelled")

    def may_run(self, date: str, processor: Processor, told: str) -> None:
        """A job starts only for a backfill that is neither cancelled nor paused.

        Raises:
            Violation: there is none.
        """
        owners = self.owners(date)
        if not owners or all(map(is_paused, owners)):
            raise Violation("a stop stops", f"{told} for {owners}")
        stale = self._invariants.dates[date]["cascades"]
        if not stale and not any(selects(one, processor.name) for one in owners if not is_paused(one)):
            raise Violation("only selected jobs run", f"{told}, and none of {owners} has selected it")

    def selected_at_end(self, date: str) -> set[str] | None:
        """The processors that were selected when a date was done as far as that; None for other dates."""
        done_so_far = self._invariants.dates[date]["outcome"] == "selected"
        return self.wanted_at_end(date) if done_so_far else None

    def wanted_at_end(self, date: str) -> set[str]:
        """The processors that the backfills select that wanted a date when it ended."""
        owners = self.owners_at_end(date)
        return {name for one in owners for name in self._sim.pipeline.processors if selects(one, name)}

    def owners_at_end(self, date: str) -> Sequence[Row]:
        """The backfills that wanted a date when it ended, and are not cancelled."""
        row = self._invariants.dates[date]
        query = "SELECT backfill_id FROM backfill_dates WHERE date = ? AND ended_version = ?"
        ended = [r["backfill_id"] for r in self._invariants.rows(query, date, row["version"])]
        owners = [self._invariants.requests[number] for number in ended]
        return [one for one in owners if one["cancelled_at"] is None]

    def is_narrow(self, date: str) -> bool:
        """Whether no backfill that wants a date selects all processors."""
        owners = self.owners(date)
        return bool(owners) and all(one["selection"] is not None for one in owners)

    def is_selected(self, date: str, name: str) -> bool:
        """Whether a backfill that wants the date, or wanted it before this commit, selects a processor."""
        owners = [*self.owners(date), *self._before.get(date, [])]
        return not owners or any(selects(one, name) for one in owners)

    def waits_for_unselected(self, row: Row) -> bool:
        """Whether a date waits for a missing output of its state that nobody has selected, by its name."""
        stage = self._sim.pipeline.stage[row["state"]]
        names = [p.name for p in stage.processors if not self.is_selected(row["date"], p.name)]
        missing = [n for n in names if not self._invariants.checks[row["date"], n]["satisfied"]]
        return any(row["waiting_text"].startswith(f"{name}: ") for name in missing)

    def waits_for_pause(self, row: Row) -> bool:
        """Whether a date waits for a pause: all its owners are paused, or the one that it names is."""
        owners = self.owners(row["date"])
        named = [one for one in owners if is_paused(one) and f"backfill {one['id']} " in row["waiting_text"]]
        return bool(owners) and (all(map(is_paused, owners)) or bool(named))

    def requests_equal_rows(self) -> None:
        """How each requested date ended is kept with its request, and only once it has ended.

        Raises:
            Violation: it is not so.
        """
        for asked in self._invariants.rows(_REQUESTED):
            row = self._invariants.dates.get(asked["date"])
            if row is None:
                raise Violation("no date is lost", f"{asked['date']} was enqueued and is nowhere")
            kept, stands = (asked["state"], asked["outcome"]), (row["state"], row["outcome"])
            same_end = asked["ended_version"] == row["version"]
            if bool(asked["live"]) != (kept == ("", "")) or (same_end and kept != stands):
                raise Violation("requests equal rows", f"{asked} while the date is {stands}")

    def status(self, number: int) -> str:
        """The status of a backfill, by its rows."""
        request = self._invariants.requests[number]
        live = self._invariants.rows(f"{_INTERESTS} AND backfill_id = ?", number)
        runs = any(row["backfill_id"] == number for row in self._invariants.running.values())
        if request["cancelled_at"] is not None:
            return "cancelling" if live or runs else "cancelled"
        if not live:
            return "finished"
        if request["stopped_at"] is not None:
            return "stopped"
        if request["paused_at"] is not None:
            return "pausing" if runs else "paused"
        return "active"

    def at_rest_for_good(self) -> None:
        """Nothing can happen any more: each request has ended, or says that it cannot go on by itself.

        What waits for the warehouse to be asked again is left out: that goes on, but not in this world.

        Raises:
            Violation: one is active, although nothing moves.
        """
        if self._invariants.rows("SELECT 1 FROM checks WHERE query_due_at IS NOT NULL"):
            return
        with self._sim.db.read() as tx:
            rows = {number: backfills.get(tx, number) for number in self._invariants.requests}
            told = {n: stuck_backfills.status(tx, self._sim.context, row) for n, row in rows.items() if row}
        active = [number for number, (status, _) in told.items() if status not in _AT_REST]
        if active:
            raise Violation("what cannot go on says so", f"{active} of {told}")
        self.stuck += sum(status == stuck_backfills.STUCK for status, _ in told.values())
