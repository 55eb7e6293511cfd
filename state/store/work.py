"""What there is to do, and when there will be more: what the engine asks most, so each is one statement."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Exists, bindparam, exists, func, or_, select

from backfilld.state.pipeline.phase import PENDING
from backfilld.state.store.holds import OVER, WAREHOUSE
from backfilld.state.store.schema import IS_RUNNABLE, checks, dates, holds

_NOW: ColumnElement[float] = bindparam("_now")
_DUE = dates.c.due_at <= _NOW


class DueTransitions(NamedTuple):
    """What there may be to do for whoever moves dates."""

    over: bool
    """The time of a hold is over."""
    due: bool
    """A date is to be looked at."""
    runnable: bool
    """Something may start, as far as its date goes."""


class DueQueries(NamedTuple):
    """What there may be to do for whoever asks the warehouse."""

    wanted: bool
    """A question is due."""
    admitting: bool
    """A date is about to be admitted, which will bring more questions."""
    held: bool
    """A hold is placed on all questions; its end may have come."""


def _any(table: Any, *conditions: ColumnElement[bool]) -> Exists:
    return exists(1).select_from(table).where(*conditions)


_MOVES = select(_any(holds, *OVER), _any(dates, _DUE), _any(checks, IS_RUNNABLE))
_QUESTIONS = select(
    _any(checks, checks.c.query_due_at <= _NOW),
    _any(dates, _DUE, dates.c.state == PENDING),
    _any(holds, holds.c.kind == WAREHOUSE),
)
_NEXT = select(
    select(func.min(dates.c.due_at)).where(dates.c.due_at.is_not(None)).scalar_subquery(),
    select(func.min(checks.c.query_due_at)).where(checks.c.query_due_at > _NOW).scalar_subquery(),
    # That of the warehouse's hold is no alarm once it has come: until an answer lifts it, the hold stays.
    select(func.min(holds.c.until))
    .where(or_(holds.c.kind != WAREHOUSE, holds.c.until > _NOW))
    .scalar_subquery(),
)


def due_transitions(tx: Connection, now: float) -> DueTransitions:
    """Whether anything may be moved now."""
    return DueTransitions(*tx.execute(_MOVES, {"_now": now}).one())


def due_queries(tx: Connection, now: float) -> DueQueries:
    """Whether anything may be asked now."""
    return DueQueries(*tx.execute(_QUESTIONS, {"_now": now}).one())


def next_wakeup(tx: Connection, now: float) -> float | None:
    """When a date, a later question or the end of a hold is due; None when nothing is."""
    return min((at for at in tx.execute(_NEXT, {"_now": now}).one() if at is not None), default=None)
