"""The complete dates that rules compare a date with. Pure."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from dataclasses import replace

from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.evidence import EarlierDate, Evidence
from backfilld.state.rules.expectations.earlier_dates import window
from backfilld.state.rules.judge import Judgement
from backfilld.state.rules.season_calendar import Counts
from backfilld.state.rules.verdict import Verdict


class CompleteDates:
    """The rows of complete dates by processor. A later verdict replaces an earlier one."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[dt.date, EarlierDate]] = defaultdict(dict)

    def record(
        self, processor: Processor, date: dt.date, judgement: Judgement | CheckRow, counts: Counts | None
    ) -> None:
        """Record a new verdict: only a complete date with rows is compared with."""
        if not processor.expect.days_compared:
            return
        self._rows[processor.name].pop(date, None)
        if judgement.verdict is Verdict.COMPLETE and judgement.rows:
            self.add(processor.name, EarlierDate(date=date, rows=judgement.rows, counts=counts or {}))

    def add(self, processor: str, date: EarlierDate) -> None:
        """Add a date that is known to be complete."""
        self._rows[processor][date.date] = date

    def compared(self, processor: Processor, date: dt.date, evidence: Evidence) -> Evidence:
        """The evidence of a date with the dates that its rules compare with."""
        if not processor.expect.days_compared:
            return evidence
        within = dates_between(*window(date, processor.expect.days_compared))
        known = self._rows[processor.name]
        return replace(evidence, earlier=tuple(known[other] for other in within if other in known))
