"""What was so in a world, at any moment: by the pipeline file, the calendar and the rows of the warehouse."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from backfilld.state.pipeline.phase import Phase
from tests.simulation.fakes import Launch
from tests.simulation.output_dates import has_output
from tests.simulation.quiescence_invariants import day_of

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


class Facts:
    """The past of one world. `is_waived` says whether the daemon lets a date go without an output."""

    def __init__(self, sim: Simulation, is_waived: Callable[[str, str], bool]) -> None:
        self._sim = sim
        self._is_waived = is_waived

    def jobs(self, name: str, date: str) -> list[Launch]:
        """The ended jobs of an output, in the order of their ends, for the table that it has now."""
        table = self._sim.warehouse.table(name)
        jobs = [job for job in self._sim.launches if job.processor == name and day_of(date) in job.dates]
        return sorted((j for j in jobs if j.ended and j.table == table), key=lambda job: job.ended or 0.0)

    def was_right(self, name: str, date: dt.date, since: float) -> bool:
        """Whether an output was right at any moment since then and since the last job of its table ended."""
        table = self._sim.warehouse.table(name)
        jobs = [job for job in self._sim.launches if job.table == table and date in job.dates]
        since = max([since, *(job.ended or 0.0 for job in jobs)])
        return any(any(right) for right in self._states(name, date, since, self._sim.time))

    def was_right_throughout(self, name: str, date: dt.date, since: float, until: float) -> bool:
        return all(all(right) for right in self._states(name, date, since, until))

    def _states(self, name: str, date: dt.date, since: float, until: float) -> Iterator[list[bool]]:
        """For each state of its table and its reference: whether the rows were right by each calendar."""
        warehouse, ratio = self._sim.warehouse, self._sim.pipeline.processors[name].expect.ratio
        pairs = [(warehouse.table(name), date), *([(warehouse.table(ratio.of), date)] if ratio else [])]
        moments = {
            since,
            *(at for pair in pairs for at, _ in warehouse.rows.changes[pair] if since < at <= until),
        }
        for at in sorted(moments):
            rows, *reference = (warehouse.rows.at(pair, at) for pair in pairs)
            yield [
                not self._is_asked(name, date, games)
                or (
                    self._is_right(name, date, rows, reference if compared else [], games)
                    and all(
                        self._passes(one, date, at)
                        for one in (name, *([ratio.of] if ratio and compared else []))
                    )
                )
                for games in self.games(date, since)
                for compared in self._comparisons(name, date)
            ]

    def _passes(self, name: str, date: dt.date, at: float) -> bool:
        """Whether its check command says yes of an output as it was then."""
        warehouse = self._sim.warehouse
        writes = sum(written <= at for written, _ in warehouse.rows.changes[warehouse.table(name), date])
        return not self._sim.platform.rejects((name, date), writes)

    def _is_right(self, name: str, date: dt.date, rows: int, reference: list[int], games: int) -> bool:
        """Whether rows are right; `reference` are those that they are compared with, if they are."""
        expect = self._sim.pipeline.processors[name].expect
        if expect.ratio and not reference:
            return rows > 0
        if expect.ratio:
            compared = self._is_right(expect.ratio.of, date, reference[0], [0], games)
            return compared and rows > 0 and rows >= expect.ratio.min * reference[0]
        least, most = expect.rows.root if expect.rows else (1, None)
        if expect.rows_per:
            each_least, each_most = expect.rows_per.root["games"]
            least, most = games * each_least, None if each_most is None else games * each_most
        return max(least, 1) <= rows <= (math.inf if most is None else most)

    def _comparisons(self, name: str, date: dt.date) -> list[bool]:
        """Whether an output is compared with its reference: not where that has none on the date.

        One with a waiver may be complete by now, and is compared with then.
        """
        ratio = self._sim.pipeline.processors[name].expect.ratio
        if ratio is None or not has_output(self._sim, self._sim.pipeline.processors[ratio.of], date):
            return [False]
        return [False, True] if self._is_waived(str(date), ratio.of) else [True]

    def _is_asked(self, name: str, date: dt.date, games: int) -> bool:
        processor = self._sim.pipeline.processors[name]
        return self.expected(date, games) and has_output(self._sim, processor, date)

    def games(self, date: dt.date, since: float) -> list[int]:
        """What the calendar counted since then, and what the daemon may still know of it."""
        known = self._sim.warehouse.read_at.get(date, [])[-2:-1] or [0.0]
        changes = [(0.0, self._sim.scenario.games.get(date, 0)), *self._sim.calendar_changes.get(date, [])]
        ends = [at for at, _ in changes[1:]] + [math.inf]
        return [games for (_, games), end in zip(changes, ends, strict=True) if end >= min(since, known[0])]

    # The pipeline file and the calendar

    def expected(self, date: dt.date, games: int) -> bool:
        file = self._sim.scenario.files[self._sim.version]
        closes = max([file.opens, *self._sim.scenario.games])
        return file.opens <= date <= closes and (games > 0 or not self._sim.scenario.counted)

    def phases(self, date: dt.date) -> list[Phase]:
        """The phases that a date goes through."""
        file = self._sim.scenario.files[self._sim.version]
        early = 0 <= (date - file.opens).days < file.bootstrap_days
        return [phase for phase in self._sim.pipeline.phase if not (early and phase.skip_bootstrap)]

    def window(self, date: dt.date, lookback: str | int) -> list[dt.date]:
        opens = self._sim.scenario.files[self._sim.version].opens
        first = opens if isinstance(lookback, str) else date - dt.timedelta(days=lookback)
        return [first + dt.timedelta(days=n) for n in range((date - first).days)]
