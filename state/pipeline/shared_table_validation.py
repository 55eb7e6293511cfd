"""Processors that name the same output table, where no rule distinguishes their rows. Pure."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator

from backfilld.state.pipeline.duplicate_and_unknown_names import processor_key
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.expectations.rule import RowBound


def shared_table_warnings(pipeline: Pipeline) -> Iterator[str]:
    """One line for each processor that is complete by the rows of one before it."""
    for names in pipeline.writers_of.values():
        sharing = (pipeline.processors[name] for name in names)
        for first, second in itertools.combinations(sharing, 2):
            if (
                _same_days(first, second)
                and not _replaces(first, second)
                and not _is_distinguished(second, first)
            ):
                where = processor_key(pipeline.stage_of[second.name].phase, second)
                yield (
                    f"{where}.table: {second.table} is also the output of '{first.name}', and no rule"
                    f" distinguishes their rows: '{second.name}' is complete, and its job does not run, where"
                    f" those of '{first.name}' suffice; name its own table, or state a rule that only its own"
                    " rows satisfy, such as expect.filled"
                )


def _same_days(first: Processor, second: Processor) -> bool:
    """Whether two processors may have output on the same date, as far as the file says."""
    begin = max(first.since or dt.date.min, second.since or dt.date.min)
    end = min(first.until or dt.date.max, second.until or dt.date.max)
    return begin <= end and (first.days == second.days or None in (first.days, second.days))


def _replaces(first: Processor, second: Processor) -> bool:
    """Whether one of two processors is a fallback of the other: its rows are to satisfy both."""
    return first.name in second.fallbacks or second.name in first.fallbacks


def _is_distinguished(second: Processor, first: Processor) -> bool:
    """Whether the second has a rule about what its rows are, and not how many, that the first has not."""
    return any(
        getattr(first.expect, key) != rule
        for key, rule in second.expect.rules.items()
        if not isinstance(rule, RowBound)
    )
