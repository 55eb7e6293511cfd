"""Which dates one attempt may take together. Pure: the engine and the plan both use it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol, TypeVar

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.periods import period_bounds
from backfilld.state.rules.processor_selection import upstream


class DateJob(Protocol):
    """One processor to run for one date."""

    @property
    def date(self) -> dt.date:
        """The date to run for."""

    @property
    def processor(self) -> str:
        """The processor's name."""


_Item = TypeVar("_Item", bound=DateJob)
Ran = Callable[[str, dt.date], bool]
NothingBetween = Callable[[Processor, dt.date, dt.date], bool]
"""Whether a processor has output on no date strictly between two."""


def batches(
    items: Iterable[_Item],
    processors: Mapping[str, Processor],
    *,
    nothing_between: NothingBetween,
    owner: Callable[[_Item], Hashable] = lambda item: None,
) -> list[list[_Item]]:
    """The items as attempts, in the order in which each attempt's first item comes.

    An attempt takes items of one processor: those of one `owner`, at most the processor's `batch`, or with
    `period` those of one week or month, whoever owns them.
    """
    groups: list[list[_Item]] = []
    latest: dict[Hashable, list[_Item]] = {}
    for item in items:
        processor = processors[item.processor]
        key = (item.processor, _period_start(processor, item.date) or owner(item))
        group, most = latest.get(key), processor.dates_per_attempt
        if group and len(group) < most and _extends(processor, group[-1], item, nothing_between):
            group.append(item)
        else:
            groups.append([item])
            latest[key] = groups[-1]
    return groups


def period_attempts(pipeline: Pipeline, ran: Ran) -> Callable[[DateJob], tuple[Hashable, ...]]:
    """For each item: the attempts of processors with `period` that its date was computed by.

    Their dates become ready together, so an attempt that follows takes dates of the same ones. `ran` says
    whether a processor had an attempt for a date and this request.
    """
    periods = [p for p in pipeline.processors.values() if p.attempt_period]
    before: dict[str, list[Processor]] = {}

    def attempts(item: DateJob) -> tuple[Hashable, ...]:
        if item.processor not in before:
            names = upstream(pipeline, [item.processor], same_date=True) if periods else ()
            before[item.processor] = [p for p in periods if p.name in names]
        date = item.date
        return tuple((p.name, _period_start(p, date)) for p in before[item.processor] if ran(p.name, date))

    return attempts


def _period_start(processor: Processor, date: dt.date) -> dt.date | None:
    return period_bounds(processor.attempt_period, date)[0] if processor.attempt_period else None


def _extends(processor: Processor, last: DateJob, item: DateJob, nothing_between: NothingBetween) -> bool:
    """Whether `item` may follow `last`: a range must not cover an expected date that it does not claim."""
    if "start" not in processor.placeholders:
        return True
    return last.date < item.date and nothing_between(processor, last.date, item.date)
