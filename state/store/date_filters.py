"""Filters of dates by what people look for: outcome, verdict of a processor, words of a reason."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select

from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, DateScope
from backfilld.state.store.index_conditions import IS_UNSATISFIED
from backfilld.state.store.schema import checks, dates


@dataclass(frozen=True, slots=True, kw_only=True)
class DateFilter:
    """What a date must match; empty values match every date."""

    outcomes: Collection[Outcome] = ()
    processors: Collection[str] = ()
    """With `verdicts`: one of these has one of them. Alone: one of these is not satisfied."""
    verdicts: Collection[Verdict] = ()
    reason: str = ""
    """A part of why the date ended or of the reason of an unsatisfied verdict, in any case of letters."""

    scope: DateScope = ALL_DATES

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The conditions on a row of `dates`."""
        yield self.scope.contains(dates.c.date)
        if self.outcomes:
            yield dates.c.outcome.in_([outcome.value for outcome in self.outcomes])
        if self.processors or self.verdicts:
            yield dates.c.date.in_(select(checks.c.date).where(*self._of_check()))
        if self.reason:
            here = (IS_UNSATISFIED, checks.c.reason.icontains(self.reason, autoescape=True))
            yield or_(
                dates.c.reason.icontains(self.reason, autoescape=True),
                dates.c.date.in_(select(checks.c.date).where(*here)),
            )

    def _of_check(self) -> Iterator[ColumnElement[bool]]:
        if self.processors:
            yield checks.c.processor.in_(self.processors)
        if self.verdicts:
            yield checks.c.verdict.in_([verdict.value for verdict in self.verdicts])
        else:
            yield IS_UNSATISFIED
