"""Which dates one attempt may take together. Pure: the engine and the plan both use it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol, TypeVar

from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.periods import period_bounds


class DateJob(Protocol):
    """One processor to run for one date."""

    @property
    def date(self) -> dt.date:
        """The date to run for."""

    @property
    def processor(self) -> str:
        """The processor's name."""


_Item = TypeVar("_Item", bound=DateJob)
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


def _period_start(processor: Processor, date: dt.date) -> dt.date | None:
    return period_bounds(processor.period, date)[0] if processor.period else None


def _extends(processor: Processor, last: DateJob, item: DateJob, nothing_between: NothingBetween) -> bool:
    """Whether `item` may follow `last`: a range must not cover an expected date that it does not claim."""
    if "start" not in processor.placeholders:
        return True
    return last.date < item.date and nothing_between(processor, last.date, item.date)
