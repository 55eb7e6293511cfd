"""On which dates processors have output, and what belongs to a period: by the pipeline file alone.

Computed date by date, without the product's rules. What the calendar counts is left to `Facts`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

from backfilld.state.pipeline.processor import Processor

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation


def runs_by_period(processor: Processor) -> bool:
    """Whether one attempt takes all dates of a period, each with an output of its own."""
    return processor.period is not None and processor.period_output == "each"


def closes_period(processor: Processor) -> bool:
    """Whether the last date of a period has the one output for all of it."""
    return processor.period is not None and processor.period_output == "last"


def period_dates(processor: Processor, date: dt.date) -> Iterator[dt.date]:
    """The dates of the week or month of a date, oldest first."""
    label = "%Y %m" if processor.period == "month" else "%G %V"
    own = date.strftime(label)
    for days in range(-31, 32):
        other = date + dt.timedelta(days=days)
        if other.strftime(label) == own:
            yield other


def has_output(sim: Simulation, processor: Processor, date: dt.date) -> bool:
    """Whether the file lets a processor have output on a date: `since`, `until`, `days`, `period_output`."""
    if not closes_period(processor):
        return _is_one_of_its_days(sim, processor, date)
    own = covered_by_output(sim, processor, date)
    return bool(own) and own[-1] == date


def covered_by_output(sim: Simulation, processor: Processor, date: dt.date) -> list[dt.date]:
    """The dates of its period for which the output of a period's last date is."""
    return [day for day in period_dates(processor, date) if _is_in_period(sim, processor, day)]


def _is_in_period(sim: Simulation, processor: Processor, date: dt.date) -> bool:
    file = sim.scenario.files[sim.version]
    closes = max([file.opens, *sim.scenario.games])
    early = 0 <= (date - file.opens).days < file.bootstrap_days
    skipped = early and sim.pipeline.stage_of[processor.name].phase.skip_bootstrap
    return file.opens <= date <= closes and not skipped and _is_one_of_its_days(sim, processor, date)


def _is_one_of_its_days(sim: Simulation, processor: Processor, date: dt.date) -> bool:
    named = {days["name"]: days["weekdays"] for days in sim.scenario.files[sim.version].days}
    in_span = (processor.since or date) <= date <= (processor.until or date)
    return in_span and (processor.days is None or f"{date:%a}".lower() in named[processor.days])
