"""An oracle of staleness: which outputs were computed from stale ones, and why a mark is there.

Inputs are enumerated by the pipeline file (`needs_invariants`), writes and jobs are those of the world. Of
the daemon it reads which outputs it marks, and nothing of how it decides that.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.simulation.fakes import Launch
from tests.simulation.inputs import Inputs
from tests.simulation.quiescence_invariants import Row, Violation, day_of

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

Pair = tuple[str, str]
"""A date and a processor."""


class StaleTruth:
    """Judges the marks of one world."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._attempts: set[int] = set()
        self._over_stale: dict[Pair, set[Pair]] = {}
        """The inputs of each output that were stale when its latest attempt began."""
        self.compared = 0
        """How many inputs were compared with what others wrote."""
        self._files: dict[int, Inputs] = {}
        """The inputs by each pipeline file so far."""
        self.carried = 0
        """How many outputs were seen that had to carry a mark on."""

    def claimed(self) -> None:
        """Keep the inputs of new attempts, and which of them are stale."""
        for number in self._invariants.running.keys() - self._attempts:
            self._attempts.add(number)
            name = self._invariants.running[number]["processor"]
            processor = self._sim.pipeline.processors.get(name)
            for date in self._invariants.covered[number] if processor else ():
                inputs = [(str(day), of) for day, of in self._sim.inputs.of(day_of(date), processor)]
                pairs = {pair for pair in inputs if self._is_stale(pair) and not self._ran_since(pair)}
                self._over_stale[date, name] = pairs

    def look(self, done: Iterator[str]) -> None:
        """Every output of a done date that was computed from a stale one is marked, and no other one is.

        Raises:
            Violation: a mark is missing, or there is one too many.
        """
        for date in done:
            for name in self._sim.pipeline.processors:
                check = self._invariants.checks.get((date, name))
                if check is None or not check["rows"] or check["verdict"] == "not_expected":
                    continue
                self._is_carried_on(date, name, check)
                self._is_passed_on(date, name, check)
                self._is_noticed(date, name, check)
                if self._is_stale((date, name)) and not self._is_justified(date, name):
                    raise Violation(
                        "only what is stale is marked", f"{name} of {date} is newer than its inputs"
                    )

    def rerun(self, date: str, name: str) -> None:
        """A job of a cascade begins for an output that is complete.

        Raises:
            Violation: the output is not stale.
        """
        if self._invariants.checks[date, name]["stale_at"] is None:
            raise Violation("a cascade runs what is stale", f"{name} of {date} runs, complete and not stale")

    def _is_carried_on(self, date: str, name: str, check: Row) -> None:
        # What is not expected any more is repaired by no job, and what an edit has taken away is no input.
        processor = self._sim.pipeline.processors[name]
        needed = {(str(day), of) for day, of in self._sim.inputs.of(day_of(date), processor)}
        stale = self._over_stale.get((date, name), set())
        stale &= needed
        inputs = {pair for pair in stale if self._invariants.checks[pair]["verdict"] != "not_expected"}
        if not inputs or not check["last_attempt_succeeded"]:
            return
        self.carried += 1
        if check["stale_at"] is None:
            told = f"{name} of {date} was computed from {sorted(inputs)}, which were stale, without a mark"
            raise Violation("what is computed from stale rows is stale", told)

    def _is_passed_on(self, date: str, name: str, check: Row) -> None:
        """An output is stale where an input is, whenever the input became so."""
        told = self._sim.scenario.is_edited or self._sim.scenario.sets_clock or self._restores()
        if check["stale_at"] is not None or told:
            return
        needed = self._sim.inputs.of(day_of(date), self._sim.pipeline.processors[name])
        inputs = {(str(day), of) for day, of in needed}
        stale = sorted(pair for pair in inputs if self._is_stale(pair) and not self._ran_since(pair))
        if stale:
            raise Violation("what is computed from stale rows is stale", f"{name} of {date} needs {stale}")

    def _is_noticed(self, date: str, name: str, check: Row) -> None:
        """An output is stale if others wrote an input after its job began, and that was queried since."""
        day = day_of(date)
        jobs = [job for job in self._sim.launches if job.processor == name and day in job.dates]
        if check["stale_at"] is not None or not jobs or jobs[-1].code != 0 or not self._shows_writes():
            return
        began = jobs[-1].started
        processor = self._sim.pipeline.processors[name]
        for other, of in self._sim.inputs.of(day, processor):
            if writes := self._foreign_writes(other, of, began):
                told = f"{name} of {date} began at {began}, others wrote {of} of {other} at {writes}"
                raise Violation("a foreign write is noticed", told)
            self.compared += 1

    def _shows_writes(self) -> bool:
        """Whether the stamps of all queries are known, and all that the daemon has seen of them."""
        told = self._sim.scenario.is_edited or self._sim.scenario.sets_clock or self._restores()
        return not told and not self._sim.warehouse.bills_stamps

    def _foreign_writes(self, day: dt.date, of: str, began: float) -> list[float]:
        """When others wrote an input after a time, up to its latest query; empty where that is not known."""
        check, warehouse = self._invariants.checks.get((str(day), of)), self._sim.warehouse
        if check is None or check["verdict"] != "complete" or not check["rows"] or of in warehouse.unprovable:
            return []
        table = warehouse.table(of)
        jobs = [job for job in self._sim.launches if job.table == table and day in job.dates]
        last_end = max((job.ended or math.inf for job in jobs), default=0.0)
        answers = warehouse.answers.get((of, day), {})
        known = any(last_end <= at < began and not answer.error for at, answer in answers.items())
        if last_end > began or not known:
            return []
        changes = warehouse.rows.changes[table, day]
        return [at for at, _ in changes if began < at < (check["asked_at"] or 0.0)]

    def _is_stale(self, pair: Pair) -> bool:
        """Whether an output of a date that was enqueued is marked, and its latest job has not computed it."""
        check = self._invariants.checks.get(pair)
        if check is None or check["stale_at"] is None or pair[0] not in self._invariants.dates:
            return False
        started = check["last_attempt_started_at"] or 0.0
        unchanged = check["stamp_before"] is not None and check["stamp_before"] == check["write_stamp"]
        ran_since = started >= check["stale_at"] and check["last_attempt_succeeded"] and not unchanged
        return bool(check["rows"]) and check["verdict"] != "not_expected" and not ran_since

    def _ran_since(self, pair: Pair) -> bool:
        """Whether some job has computed a marked output since: later ones may have failed.

        Its rows may show late. Where the warehouse cannot tell of writes, or is not asked, its exit code
        counts.
        """
        (date, name), marked_at = pair, self._invariants.checks[pair]["stale_at"]
        jobs = [job for job in self._jobs(date, name) if job.code == 0 and job.started >= marked_at]
        late = self._sim.platform.written_late[self._sim.warehouse.table(name), day_of(date)]
        proven = any(job.ended in late for job in jobs) or self._began(date, name) >= marked_at
        warehouse = self._sim.warehouse
        return proven or (bool(jobs) and (name in warehouse.unprovable or warehouse.bills_stamps))

    def _is_justified(self, date: str, name: str) -> bool:
        """Whether an input was written after the job began that computed it further on."""
        if self._sim.scenario.edits_windows or self._sim.scenario.sets_clock or self._restores():
            return True
        seen, todo = {(date, name)}, [(date, name)]
        while todo:
            output = todo.pop()
            began, inputs = self._began(*output), self._inputs(*output)
            if any(self._written(pair) > began for pair in inputs):
                return True
            todo += inputs - seen
            seen |= inputs
        return False

    def _inputs(self, date: str, name: str) -> set[Pair]:
        """What an output is computed from, as far as the daemon knows of it, and what it runs after.

        By each pipeline file since the job began that computed it: an edit may have removed an input of it.
        """
        latest = self._latest_writer(date, name)
        found: set[Pair] = set()
        for version in range(latest.version if latest else 0, self._sim.version + 1):
            processor = self._sim.scenario.pipeline(version).processors.get(name)
            inputs = self._by_file(version).of(day_of(date), processor, siblings=True) if processor else ()
            found |= {(str(day), of) for day, of in inputs}
        return found.intersection(self._invariants.checks)

    def _by_file(self, version: int) -> Inputs:
        if version not in self._files:
            self._files[version] = Inputs(self._sim.scenario.pipeline(version))
        return self._files[version]

    def _restores(self) -> bool:
        """Whether the daemon forgets what it has run."""
        return any(one.verb == "restore" for one in self._sim.scenario.external_events)

    def _began(self, date: str, name: str) -> float:
        """When the latest job of an output began that ended well and wrote; before all times without one."""
        latest = self._latest_writer(date, name)
        return latest.started if latest else -1.0

    def _latest_writer(self, date: str, name: str) -> Launch | None:
        """The latest job of an output that ended well and wrote by then."""
        writes = {
            at for at, _ in self._sim.warehouse.rows.changes[self._sim.warehouse.table(name), day_of(date)]
        }
        wrote = [job for job in self._jobs(date, name) if job.code == 0 and job.ended in writes]
        return max(wrote, key=lambda job: job.started, default=None)

    def _jobs(self, date: str, name: str) -> list[Launch]:
        day = day_of(date)
        return [job for job in self._sim.launches if job.processor == name and day in job.dates]

    def _written(self, pair: Pair) -> float:
        """When the rows of an output were last written, or its job ended.

        Infinity where others wrote them last: the daemon notices that some time after they did.
        """
        date, name = pair
        current, day = self._sim.warehouse.table(name), day_of(date)
        # The pipeline file may have named another table when the job ran, or when others wrote.
        jobs = [
            job
            for job in self._sim.launches
            if job.ended and day in job.dates and (job.processor == name or job.table == current)
        ]
        named = (
            one["table"]
            for file in self._sim.scenario.files
            for one in file.processors
            if one["name"] == name
        )
        tables = {current, *(job.table for job in jobs), *named}
        ends = [job.ended for job in jobs]
        writes = sorted(at for table in tables for at, _ in self._sim.warehouse.rows.changes[table, day])
        if writes and writes[-1] not in ends:
            return math.inf
        return max([*writes, *ends], default=-1.0)
