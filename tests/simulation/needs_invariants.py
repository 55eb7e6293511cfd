"""What each date needs, by the pipeline file alone: no attempt starts while any of it is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.processor import Processor
from tests.simulation.quiescence_invariants import Row, Violation, day_of

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation


class NeedsInvariants:
    """Looks at every attempt when it is claimed, and at what done dates were computed from."""

    def __init__(self, sim: Simulation, invariants: Invariants) -> None:
        self._sim = sim
        self._invariants = invariants
        self._claimed: set[int] = set()

    def claimed(self) -> None:
        """New attempts have all that they need.

        Raises:
            Violation: one of them started while something that it needs was not there.
        """
        for number, attempt in self._invariants.running.items():
            if number in self._claimed:
                continue
            self._claimed.add(number)
            processor = self._sim.pipeline.processors.get(attempt["processor"])
            for date in self._invariants.covered[number] if processor else ():
                missing = next(self.missing(date, processor), None)
                if missing:
                    told = (
                        f"{processor.name} of {date} started while {missing[1]} of {missing[0]} was not there"
                    )
                    raise Violation("no attempt starts before what it needs", told)

    def entered(self, date: str, stage: Stage, before: set[tuple[str, str]]) -> None:
        """A state is entered only where nothing that all of its processors need is missing.

        A processor whose gap is accepted needs nothing, and a state is passed that has no selected one with
        output. `before` was satisfied before the commit, which may have stored the very verdict that let the
        date in, and claimed the rewrite of what it needs.

        Raises:
            Violation: each of its processors needs something that was not there.
        """
        checks, asked = (
            self._invariants.checks,
            [p for p in stage.processors if self._invariants.asks(date, p)],
        )
        selection = self._invariants.requests[self._invariants.dates[date]["backfill_id"]]["selection"]
        if selection and not {p.name for p in asked} & set(json.loads(selection)):
            return
        begun = self._invariants.running.keys() - self._claimed
        rewritten = {
            pair for pair, c in checks.items() if c["attempt_id"] in begun and c["verdict"] == "complete"
        }
        blocked = [
            None if checks[date, p.name]["accepted_reason"] else next(self.missing(date, p), None)
            for p in asked
        ]
        satisfied = before | self._invariants.satisfied | rewritten
        if blocked and all(pair and pair not in satisfied for pair in blocked):
            raise Violation("no holes in the lookback", f"{date} entered {stage.name} before {blocked}")

    def missing(self, date: str, processor: Processor) -> Iterator[tuple[str, str]]:
        """The needed (date, processor) pairs of earlier dates that are not there or under way.

        What an attempt still writes is not there, also where nothing is expected of it any more.
        """
        for earlier, name in self._sim.inputs.earlier(day_of(date), processor):
            upstream = self._sim.pipeline.processors[name]
            check = self._invariants.checks.get((str(earlier), name))
            is_written = check is not None and check["attempt_id"] is not None
            asked = self._invariants.expected(earlier) and self._invariants.asks(str(earlier), upstream)
            if is_written or (asked and (check is None or not _is_there(check))):
                yield str(earlier), name

    def retried(self, date: str, processor: Processor) -> Iterator[Row]:
        """The needed outputs of earlier dates that were retried and not queried since, complete or not."""
        pairs = ((str(earlier), name) for earlier, name in self._sim.inputs.earlier(day_of(date), processor))
        checks = (self._invariants.checks.get(pair) for pair in pairs)
        yield from (check for check in checks if check and not check["satisfied"])

    def outdated(self, date: str) -> Iterator[str]:
        """Outputs of a done date that began before a job ended that they are computed from."""
        own = day_of(date)
        for processor in self._sim.pipeline.processors.values():
            output = self._invariants.checks.get((date, processor.name))
            if output is None or not output["rows"] or not self._is_ours(output):
                continue
            for other, name in self._sim.inputs.of(own, processor):
                source = self._invariants.checks.get((str(other), name))
                if not source or not _was_run(source) or self._is_known_unwritten(source, output):
                    continue
                if _began_before(output, source):
                    yield f"{processor.name} of {date} began before {name} of {other} ended, without a mark"

    def _is_known_unwritten(self, source: Row, output: Row) -> bool:
        """Whether the jobs since the output began wrote nothing, which the write stamp shows.

        What was computed before such jobs is as good as what comes after. Others may write later, and unseen
        before the latest job where stamps are billed. While a rewrite is under way, the stamp from before it
        shows that.
        """
        pair = self._sim.warehouse.table(source["processor"]), day_of(source["date"])
        began, ended = output["last_attempt_started_at"], source["last_attempt_ended_at"]
        if self._sim.warehouse.bills_stamps:
            began = max(began, source["last_attempt_started_at"])
        written = any(began < at <= ended for at, _ in self._sim.warehouse.rows.changes[pair])
        stamp = source["write_stamp" if source["attempt_id"] is None else "stamp_before"]
        return stamp is not None and not written

    def _is_ours(self, output: Row) -> bool:
        foreign = self._invariants.pair(output) in self._sim.platform.foreign
        not_expected = output["verdict"] == "not_expected"
        return output["last_attempt_started_at"] is not None and not foreign and not not_expected


def _is_there(check: Row) -> bool:
    """Whether an output is good or waived, and no attempt is under way or still to rewrite it."""
    waived = bool(check["accepted_reason"] or check["waived_by"])
    owed = check["mode"] in ("force", "cascade")
    good = check["verdict"] == "not_expected" or (check["verdict"] == "complete" and not owed)
    return check["attempt_id"] is None and (waived or good)


def _was_run(check: Row) -> bool:
    """Whether its rows are good, and known to be since our own job ended."""
    ended = check["last_attempt_ended_at"]
    return ended is not None and check["asked_at"] >= ended and check["verdict"] == "complete"


def _began_before(output: Row, source: Row) -> bool:
    return bool(source["last_attempt_ended_at"] > output["last_attempt_started_at"])
