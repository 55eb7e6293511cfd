"""Retries of ended dates: of one or of many, each with its own answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from backfilld.daemon.engine import rerun_processors, stale_dates
from backfilld.daemon.engine.bulk_request import (
    BEING_CANCELLED,
    NEVER_ENQUEUED,
    UNMATCHED,
    Candidates,
    DateAnswers,
    DateQuery,
    answers,
    candidates,
    refuse_unknown,
)
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.requeue_dates import being_cancelled, requeue
from backfilld.daemon.engine.retry_and_accept_audit import recorded_dates
from backfilld.daemon.engine.withdrawn_waiver_messages import withdrawn
from backfilld.daemon.event_types import DateMoved
from backfilld.state.pipeline.phase import DONE
from backfilld.state.records import Action, Actor, CheckRow, DateRow, Mark, RunMode
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.store import backfill_dates
from backfilld.state.store.audit import Facts
from backfilld.state.store.database import Transaction

_LIVE = "retry it once it has ended, or enqueue it with --force"
_NOT_FAILED = "is done and not regressed; a filter, a list, force or a processor includes it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How dates are retried."""

    force: bool = False
    """Every processor runs once, whatever its verdict."""
    cascades: bool = False
    """What is stale of them runs once, and what is stale of later dates because of it."""
    processors: tuple[str, ...] = ()
    """Only these run, once, whatever their verdicts; empty: whatever is missing."""
    dry_run: bool = False
    """Nothing is changed; the answers are those that the retry would have."""

    @property
    def facts(self) -> Facts:
        """What the audit records of it."""
        options = {"force": self.force, "cascade": self.cascades, "processors": list(self.processors)}
        return {name: value for name, value in options.items() if value}


def retry_dates(context: EngineContext, query: DateQuery, how: Retry, *, by: Actor) -> DateAnswers:
    """Requeue ended dates in one transaction; those that cannot be are refused, each with its reason.

    With `processors` one backfill that selects them alone runs them once. Dates with the mark `stale`
    cascade.

    The answer of a date names the waivers that the retry withdraws. A dry run changes nothing.

    Raises:
        NotFound: there is no such processor.
        Conflict: too many dates match.
    """
    refuse_unknown(context.pipeline, how.processors)
    if how.dry_run:
        with context.db.read() as tx:
            return _choose(tx, context, query, how)[1]
    with context.db.write() as tx:
        chosen, result = _choose(tx, context, query, how)
        changes = {row.date: () for row in chosen}
        with recorded_dates(tx, context, by, Action.RETRY, query, changes, how.facts):
            if how.processors:
                backfill_id, moves = rerun_processors.run(tx, context, chosen, how.processors, by)
                result = replace(result, backfill_id=backfill_id)
            else:
                moves = _requeue(tx, context, query, how, chosen, by)
    context.emit_all(moves)
    return result


def _choose(
    tx: Transaction, context: EngineContext, query: DateQuery, how: Retry
) -> tuple[list[DateRow], DateAnswers]:
    """The dates that are retried, and the answers."""
    found = candidates(tx, query)
    refused = _refusals(tx, context, query, how, found)
    chosen = [found.rows[date] for date in found.dates if date not in refused]
    wanted = [row.date for row in chosen]
    withdrawals = withdrawn(tx, wanted, lambda check: _withdraws(query, how, check))
    return chosen, DateAnswers(answers=answers(found, refused, withdrawals))


def _withdraws(query: DateQuery, how: Retry, check: CheckRow) -> bool:
    """Whether a waiver of an output ends: it runs again, or it is missing and is tried again."""
    if how.processors:
        return check.processor in how.processors
    only_stale = query.mark is Mark.STALE and not how.force
    return not only_stale or check.stale_at is not None


def _requeue(
    tx: Transaction,
    context: EngineContext,
    query: DateQuery,
    how: Retry,
    chosen: Sequence[DateRow],
    by: Actor,
) -> list[DateMoved]:
    cascades = how.cascades or query.mark is Mark.STALE
    reason = f"retry of {query.mark} dates" if query.mark else "retry"
    # What was accepted stays accepted where only what is stale is computed again.
    kept = RunMode.NORMAL if query.mark is Mark.STALE else RunMode.RETRY
    mode = RunMode.FORCE if how.force else kept
    if query.mark is not Mark.STALE:
        backfill_dates.reopen_widest(tx, chosen)
    moves = requeue(tx, context, chosen, mode=mode, actor=by.name, reason=reason, cascades=cascades)
    for row in chosen if how.cascades else ():
        moves += stale_dates.requeue_stale(
            tx, context, row.date, list(context.pipeline.processors), actor=by.name
        )
    return moves


def _refusals(
    tx: Transaction, context: EngineContext, query: DateQuery, how: Retry, found: Candidates
) -> dict[dt.date, str]:
    """Why dates cannot be retried."""
    ended = [row for row in found.rows.values() if row.state in FINAL]
    cancelling = {} if how.processors else being_cancelled(tx, ended)
    off = rerun_processors.off_reasons(tx, context, [row.date for row in ended], how.processors)
    only_failed = not (query.names_dates or query.filtered or how.force or how.processors)
    refused: dict[dt.date, str] = dict.fromkeys(found.unmatched, UNMATCHED)
    for date in found.dates:
        row = found.rows.get(date)
        if row is None:
            refused[date] = NEVER_ENQUEUED
        elif row.state not in FINAL:
            refused[date] = f"is in {row.state}; {_LIVE}"
        elif date in cancelling:
            refused[date] = BEING_CANCELLED.format(cancelling[date])
        elif date in off:
            refused[date] = off[date]
        elif only_failed and row.state == DONE and not row.regressed:
            refused[date] = _NOT_FAILED
    return refused
