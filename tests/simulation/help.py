"""What a person sees to do where things have come to rest and are not done."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from backfilld.state.pipeline.phase import DONE
from tests.simulation.fakes import Pair
from tests.simulation.output_dates import runs_by_period
from tests.simulation.quiescence_invariants import day_of

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Help:
    """Reads the rows of one world at rest."""

    def __init__(self, sim: Simulation) -> None:
        self._sim = sim
        self._known = sim.invariants

    def dates_behind_pipeline(self) -> list[dt.date]:
        """Done dates without a processor that the file has now: nobody asked, or a later date waits."""
        names = self._sim.pipeline.processors
        done = [
            d
            for d, row in self._known.dates.items()
            if row["state"] == DONE and row["outcome"] != "not_expected"
        ]
        return [day_of(date) for date in done if any(self._is_behind(date, name) for name in names)]

    def expected_after_all(self) -> list[dt.date]:
        """Dates that were dismissed and that the daemon now knows to be expected."""
        rows = self._known.dates.values()
        return [day_of(r["date"]) for r in rows if r["outcome"] == "not_expected" and r["regressed"]]

    def periods_without_a_date(self) -> list[dt.date]:
        """Live dates whose request leaves out the source of a period, for which other dates of it wait."""
        processors, days = self._sim.pipeline.processors, []
        for (date, name), check in self._known.checks.items():
            row, is_periodic = (
                self._known.dates.get(date),
                name in processors and runs_by_period(processors[name]),
            )
            if row is not None and is_periodic and not check["satisfied"] and row["ended_at"] is None:
                days += [day_of(date)] * (self._known.requests[row["backfill_id"]]["sources"] != "all")
        return days

    def _is_behind(self, date: str, name: str) -> bool:
        check = self._known.checks.get((date, name))
        return check is None or (self._known.waits_for_earlier and not check["satisfied"])

    def outputs_without_own_run(self) -> list[Pair]:
        """What lacks and no job of ours may write: of dates never enqueued, and of sources left out."""
        pairs = []
        for (date, name), check in self._known.checks.items():
            row = self._known.dates.get(date)
            ours = row is not None and self._known.requests[row["backfill_id"]]["sources"] == "all"
            if name in self._sim.pipeline.processors and not check["satisfied"] and not ours:
                ratio = self._sim.pipeline.processors[name].expect.ratio
                pairs += [(other, day_of(date)) for other in ([ratio.of] if ratio else []) + [name]]
        return pairs
