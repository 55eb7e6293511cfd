"""Lists of attempts: those that match a filter, by pages, and the latest ones of a backfill."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, not_, or_, select, true

from backfilld.state.records import AttemptRow, AttemptStatus
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import row_mappers
from backfilld.state.store.attempt_verdicts import LEFT_WRONG, followed_by, has_reason
from backfilld.state.store.attempts import running
from backfilld.state.store.backfill_or_season_scope import ALL_DATES, DateScope
from backfilld.state.store.index_conditions import ENDED_WELL
from backfilld.state.store.schema import attempt_dates, attempts

HAS_FAILED = and_(
    attempts.c.status.not_in([AttemptStatus.RUNNING.value, AttemptStatus.CANCELLED.value]),
    or_(attempts.c.exit_code.is_(None), not_(ENDED_WELL), followed_by(LEFT_WRONG)),
)
"""Condition: the attempt was not cancelled, and its job did not exit with 0 or left something wrong."""


def attempts_of_backfill(tx: Connection, backfill_id: int, limit: int) -> list[AttemptRow]:
    """Up to `limit` of the latest attempts that count for a backfill, newest first."""
    query = select(attempts).where(attempts.c.backfill_id == backfill_id)
    return [row_mappers.attempt(row) for row in tx.execute(query.order_by(attempts.c.id.desc()).limit(limit))]


def covers(scope: DateScope) -> ColumnElement[bool]:
    """The condition that an attempt has a date of a scope."""
    if scope == ALL_DATES:
        return true()
    ids = select(attempt_dates.c.attempt_id).where(scope.contains(attempt_dates.c.date))
    return attempts.c.id.in_(ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """What an attempt must match; empty values match every attempt."""

    statuses: Collection[AttemptStatus] = ()
    failed: bool | None = None
    """Only those that failed, or only those that did not (`HAS_FAILED`)."""
    processor: str = ""
    verdicts: Collection[Verdict] = ()
    reason: str = ""
    """A part of how the job ended or of what its verdict rests on, in any case of letters."""
    scope: DateScope = ALL_DATES

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The conditions on a row of `attempts`."""
        yield covers(self.scope)
        if self.statuses:
            yield attempts.c.status.in_([status.value for status in self.statuses])
        if self.failed is not None:
            yield HAS_FAILED if self.failed else not_(HAS_FAILED)
        if self.processor:
            yield attempts.c.processor == self.processor
        if self.verdicts:
            yield followed_by([verdict.value for verdict in self.verdicts])
        if self.reason:
            yield or_(
                attempts.c.detail.icontains(self.reason, autoescape=True),
                attempts.c.tail.icontains(self.reason, autoescape=True),
                has_reason(self.reason),
            )


def attempts_page(
    tx: Connection, wanted: AttemptFilter, *, below: int | None, limit: int
) -> list[AttemptRow]:
    """Up to `limit` attempts, newest first, with ids below `below`."""
    if wanted == AttemptFilter(statuses=wanted.statuses, processor=wanted.processor) and set(
        wanted.statuses
    ) == {AttemptStatus.RUNNING}:
        found = (row for row in reversed(running(tx)) if below is None or row.id < below)
        return [row for row in found if wanted.processor in ("", row.processor)][:limit]
    query = select(attempts).where(*wanted.conditions()).order_by(attempts.c.id.desc()).limit(limit)
    if below is not None:
        query = query.where(attempts.c.id < below)
    return [row_mappers.attempt(row) for row in tx.execute(query)]
