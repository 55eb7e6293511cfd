"""Which dates one attempt may take together. Pure: the engine and the plan both use it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Protocol, TypeVar

from backfilld.state.pipeline.processor import Processor


class DateJob(Protocol):
    """One processor to run for one date."""

    @property
    def date(self) -> dt.date:
        """The date to run for."""

    @property
    def processor(self) -> str:
        """The processor's name."""


_Item = TypeVar("_Item", bound=DateJob)


def batches(
    items: Iterable[_Item],
    processors: Mapping[str, Processor],
    *,
    nothing_between: Callable[[dt.date, dt.date], bool],
    owner: Callable[[_Item], Hashable] = lambda item: None,
) -> list[list[_Item]]:
    """The items as attempts, in the order in which each attempt's first item comes.

    An attempt takes items of one processor and one `owner`, at most the processor's `batch`.
    `nothing_between(first, last)` says that no date strictly between the two is expected.
    """
    groups: list[list[_Item]] = []
    latest: dict[Hashable, list[_Item]] = {}
    for item in items:
        processor, key = processors[item.processor], (item.processor, owner(item))
        group = latest.get(key)
        if group and len(group) < processor.batch and _extends(processor, group[-1], item, nothing_between):
            group.append(item)
        else:
            groups.append([item])
            latest[key] = groups[-1]
    return groups


def _extends(
    processor: Processor, last: DateJob, item: DateJob, nothing_between: Callable[[dt.date, dt.date], bool]
) -> bool:
    """Whether `item` may follow `last`: a range must not cover an expected date that it does not claim."""
    if "start" not in processor.placeholders:
        return True
    return last.date < item.date and nothing_between(last.date, item.date)
