"""What each output is computed from, by the pipeline file alone.

The windows are enumerated date by date here, without the product's graph.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from backfilld.state.pipeline.need_settings import NeedSettings
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from tests.simulation.output_dates import closes_period, period_dates

FAR = 400
"""Days back that no window of a simulated world exceeds."""


class Inputs:
    """The (date, processor) pairs that each output of one pipeline file needs; each is enumerated once."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._known: dict[tuple[dt.date, str], tuple[tuple[dt.date, str], ...]] = {}

    def of(
        self, own: dt.date, processor: Processor, *, siblings: bool = False
    ) -> Iterator[tuple[dt.date, str]]:
        """What an output is computed from; with `siblings` also the outputs that it runs after."""
        yield from self.earlier(own, processor)
        yield from self._same_date(own, processor)
        yield from ((own, name) for name in processor.after if siblings)

    def earlier(self, own: dt.date, processor: Processor) -> tuple[tuple[dt.date, str], ...]:
        """The earlier dates of processors that the file makes it need."""
        key = own, processor.name
        if key not in self._known:
            self._known[key] = tuple(self._earlier(own, processor))
        return self._known[key]

    def _same_date(self, own: dt.date, processor: Processor) -> Iterator[tuple[dt.date, str]]:
        """The state before."""
        stage = self._pipeline.stage_of[processor.name]
        if stage.index:
            yield from ((own, p.name) for p in self._pipeline.stages[stage.index - 1].processors)
        for need in processor.needs or ():
            if need.of:
                yield own, need.of

    def _of_each_date(self, own: dt.date, processor: Processor) -> Iterator[str]:
        """What a date of its own needs, by name: the state before, and the phase before without `needs`."""
        yield from (name for _, name in self._same_date(own, processor))
        place = self._pipeline.phase.index(self._pipeline.stage_of[processor.name].phase)
        if processor.needs is None and place:
            yield from (p.name for p in self._pipeline.phase[place - 1].processor)

    def _earlier(self, own: dt.date, processor: Processor) -> Iterator[tuple[dt.date, str]]:
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
        pipeline = self._pipeline
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
        for season in self._pipeline.calendar.season:
            if season.opens <= own <= season.closes:
                yield from (day for day in _days_before(own, FAR) if day >= season.opens)


def _days_before(own: dt.date, days: int) -> Iterator[dt.date]:
    return (own - dt.timedelta(days=n) for n in range(1, days + 1))
