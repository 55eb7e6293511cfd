"""Which dates a report is about: all, those that a backfill has enqueued or joined, or those of a season."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Select, select, true

from backfilld.state.records import EnqueueOutcome
from backfilld.state.store.schema import backfill_dates, dates

TAKEN = backfill_dates.c.answer.in_((EnqueueOutcome.ENQUEUED.value, EnqueueOutcome.JOINED.value))
"""Condition: the backfill has enqueued the date, or joined others that wanted it."""


@dataclass(frozen=True, slots=True)
class DateScope:
    """The dates of a report; without backfill and season, all dates that were ever requested."""

    backfill: int | None = None
    season: str | None = None

    def contains(self, date: ColumnElement[dt.date]) -> ColumnElement[bool]:
        """The condition that a column holds one of the dates."""
        if self.backfill is None and self.season is None:
            return true()
        return date.in_(self._dates())

    def among(self, tx: Connection, chosen: Collection[dt.date]) -> set[dt.date]:
        """Those of some dates that it contains."""
        query = select(dates.c.date).where(dates.c.date.in_(chosen), self.contains(dates.c.date))
        return set(tx.scalars(query))

    def _dates(self) -> Select[dt.date]:
        of_backfill = select(backfill_dates.c.date).where(
            TAKEN, backfill_dates.c.backfill_id == self.backfill
        )
        of_season = select(dates.c.date).where(dates.c.season == self.season)
        if self.season is None:
            return of_backfill
        return of_season if self.backfill is None else of_season.where(dates.c.date.in_(of_backfill))


ALL_DATES = DateScope()
