"""A processor with one of its periods, as a key. Pure."""

from __future__ import annotations

import datetime as dt

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.periods import period_bounds, period_title

PeriodKey = tuple[str, dt.date, dt.date]
"""A processor, and the first and last date of one of its periods."""


def period_key(processor: Processor, date: dt.date) -> PeriodKey:
    """The period of a date; the date alone for a processor without periods."""
    bounds = period_bounds(processor.attempt_period, date) if processor.attempt_period else (date, date)
    return processor.name, *bounds


def key_title(pipeline: Pipeline, key: PeriodKey) -> str:
    """The period of a key as people call it."""
    name, first, _ = key
    period = pipeline.processors[name].attempt_period
    return period_title(period, first) if period else str(first)
