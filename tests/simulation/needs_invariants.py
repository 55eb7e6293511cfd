"""What each date needs, computed from the pipeline file alone: no attempt starts while any of it is missing.

The windows are enumerated date by date here, without the product's graph.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backfilld.state.pipeline.need_settings import NeedSettings
from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.processor import Processor
from tests.simulation.output_dates import closes_period, period_dates
from tests.simulation.quiescence_invariants import Row, Violation, day_of

if TYPE_CHECKING:
    from tests.simulation.invariants import Invariants
    from tests.simulation.simulation import Simulation

FAR = 400
"""Days back that no window of a simulated world exceeds."""


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
        for earlier, name in self._earlier(day_of(date), processor):
            upstream = self._sim.pipeline.processors[name]
            check = self._invariants.checks.get((str(earlier), name))
            is_written = check is not None and check["attempt_id"] is not None
            asked = self._invariants.expected(earlier) and self._invariants.asks(str(earlier), upstream)
            if is_written or (asked and (check is None or not _is_there(check))):
                yield str(earlier), name

    def retried(self, date: str, processor: Processor) -> Iterator[Row]:
        """The needed outputs of earlier dates that were retried and not queried since, complete or not."""
        pairs = ((str(earlier), name) for earlier, name in self._earlier(day_of(date), processor))
        checks = (self._invariants.checks.get(pair) for pair in pairs)
        yield from (check for check in checks if check and not check["satisfied"])

    def outdated(self, date: str) -> Iterator[str]:
        """Outputs of a done date that began before a job ended that they are computed from."""
        own = day_of(date)
        for processor in self._sim.pipeline.processors.values():
            output = self._invariants.checks.get((date, processor.name))
            if output is None or not output["rows"] or not self._is_ours(output):
                continue
            for other, name in self.inputs(own, processor):
                source = self._invariants.checks.get((str(other), name))
                if not source or not _was_run(source) or self._is_known_unwritten(source, output):
                    continue
                if _began_before(output, source):
                    yield f"{processor.name} of {date} began before {name} of {other} ended, without a mark"

    def inputs(
        self, own: dt.date, processor: Processor, *, siblings: bool = False
    ) -> Iterator[tuple[dt.date, str]]:
        """What an output is computed from; with `siblings` also the outputs that it runs after."""
        yield from self._earlier(own, processor)
        yield from self._same_date(own, processor)
        yield from ((own, name) for name in processor.after if siblings)

    def _is_known_unwritten(self, source: Row, output: Row) -> bool:
        """Whether the jobs since the output began wrote nothing, which the write stamp shows.

        What was computed before such jobs is as good as what comes after. Others may write later. While a
        rewrite is under way, the stamp from before it shows that.
        """
        pair = self._sim.warehouse.table(source["processor"]), day_of(source["date"])
        began, ended = output["last_attempt_started_at"], source["last_attempt_ended_at"]
        written = any(began < at <= ended for at, _ in self._sim.warehouse.rows.changes[pair])
        stamp = source["write_stamp" if source["attempt_id"] is None else "stamp_before"]
        return stamp is not None and not written

    def _is_ours(self, output: Row) -> bool:
        foreign = self._invariants.pair(output) in self._sim.platform.foreign
        not_expected = output["verdict"] == "not_expected"
        return output["last_attempt_started_at"] is not None and not foreign and not not_expected

    def _same_date(self, own: dt.date, processor: Processor) -> Iterator[tuple[dt.date, str]]:
        """The state before."""
        stage = self._sim.pipeline.stage_of[processor.name]
        if stage.index:
            yield from ((own, p.name) for p in self._sim.pipeline.stages[stage.index - 1].processors)
        for need in processor.needs or ():
            if need.of:
                yield own, need.of

    def _of_each_date(self, own: dt.date, processor: Processor) -> Iterator[str]:
        """What a date of its own needs, by name: the state before, and the phase before without `needs`."""
        yield from (name for _, name in self._same_date(own, processor))
        place = self._sim.pipeline.phase.index(self._sim.pipeline.stage_of[processor.name].phase)
        if processor.needs is None and place:
            yield from (p.name for p in self._sim.pipeline.phase[place - 1].processor)

    def _earlier(self, own: dt.date, processor: Processor) -> Iterator[tuple[dt.date, str]]:
        """The earlier dates of processors that the file makes it need."""
        if processor.depends_on_past:
            yield from ((day, processor.name) for day in self._season_before(own))
        if processor.needs is None:
            yield from self._by_lookback(own, processor)
        for need in processor.needs or ():
            name = need.of or processor.name
            yield from ((day, name) for day in self._window(own, need))
        if closes_period(processor):
            names = dict.fromkeys(self._of_each_date(own, processor))
            days = [day for day in period_dates(processor, own) if (processor.since or day) <= day < own]
            yield from ((day, name) for day in days for name in names)

    def _by_lookback(self, own: dt.date, processor: Processor) -> Iterator[tuple[dt.date, str]]:
        pipeline = self._sim.pipeline
        phase = pipeline.stage_of[processor.name].phase
        place = pipeline.phase.index(phase)
        back = phase.lookback if phase.lookback is not None else "season" if phase.sequential else 0
        if place == 0:
            return
        days = self._season_before(own) if back == "season" else _days_before(own, back)
        names = [p.name for p in pipeline.phase[place - 1].processor]
        yield from ((day, name) for day in days for name in names)

    def _window(self, own: dt.date, need: NeedSettings) -> Iterator[dt.date]:
        for day in _days_before(own, FAR):
            same_week = day.isocalendar()[:2] == own.isocalendar()[:2]
            same_month = (day.year, day.month) == (own.year, own.month)
            if need.days_back is not None:
                included = (own - day).days <= need.days_back
            else:
                included = {"week": same_week, "month": same_month}.get(str(need.since), False)
            if included:
                yield day
        if need.since == "season" or (need.since is None and need.days_back is None and need.itself):
            yield from self._season_before(own)

    def _season_before(self, own: dt.date) -> Iterator[dt.date]:
        for season in self._sim.pipeline.calendar.season:
            if season.opens <= own <= season.closes:
                yield from (day for day in _days_before(own, FAR) if day >= season.opens)


def _days_before(own: dt.date, days: int) -> Iterator[dt.date]:
    return (own - dt.timedelta(days=n) for n in range(1, days + 1))


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
