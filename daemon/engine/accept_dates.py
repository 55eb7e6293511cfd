"""Acceptances of missing or wrong outputs: of one date or of many, each with its own answer."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from backfilld.daemon.engine import missing_upstream, regressed_dates
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
from backfilld.daemon.event_types import DateMoved
from backfilld.state.formatting import join_truncated
from backfilld.state.pipeline.phase import FAILED
from backfilld.state.records import Action, Actor, CheckRow, DateRow, RunMode
from backfilld.state.rules import compared_processors, operator_acceptance
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.store import checks, dates, transitions
from backfilld.state.store.database import Transaction

_NO_GAP = "there is no gap to accept"
_WAIVED = "passes without {} already; name a processor to accept its output for later requests too"
_IN_ADVANCE = "list it in dates (--dates) to accept it in advance"


def accept_dates(
    context: EngineContext, query: DateQuery, processors: Collection[str], *, by: Actor, reason: str
) -> DateAnswers:
    """Accept the gaps of dates in one transaction: of these processors, or else all that can be.

    Failed dates are requeued.

    Raises:
        NotFound: there is no such processor.
        Conflict: too many dates match.
    """
    refuse_unknown(context.pipeline, processors)
    with context.db.write() as tx:
        found = candidates(tx, query)
        chosen, refused = _acceptable(tx, context, query, processors, found)
        with recorded_dates(tx, context, by, Action.ACCEPT, query, chosen, {"reason": reason}):
            moves = _accept(tx, context, chosen, found.rows, by, reason)
    context.emit_all(moves)
    done = {date: ", ".join(names) for date, names in chosen.items()}
    return DateAnswers(answers=answers(found, refused, done))


def acceptances(
    tx: Transaction, context: EngineContext, wanted: Collection[dt.date]
) -> dict[dt.date, dict[str, str]]:
    """Why each output of some dates cannot be accepted, by date and processor; empty where it can."""
    return _refusals(tx, context, wanted, checks.for_dates(tx, wanted), named=False)


def _refusals(
    tx: Transaction,
    context: EngineContext,
    wanted: Collection[dt.date],
    stored: Mapping[dt.date, Mapping[str, CheckRow]],
    *,
    named: bool,
) -> dict[dt.date, dict[str, str]]:
    """`named`: an operator has named the outputs (`state.rules.acceptance`)."""
    rows = dates.get_many(tx, wanted)
    failed_in = transitions.failed_in(tx, [row for row in rows.values() if row.state == FAILED])
    return {
        date: {
            name: operator_acceptance.refusal(
                context.pipeline,
                stored[date].get(name),
                rows[date].state if date in rows else None,
                failed_in.get(date),
                named=named,
            )
            for name in context.pipeline.processors
        }
        for date in sorted(wanted)
    }


def _acceptable(
    tx: Transaction, context: EngineContext, query: DateQuery, processors: Collection[str], found: Candidates
) -> tuple[dict[dt.date, list[str]], dict[dt.date, str]]:
    """The outputs to accept by date, and why other dates are refused."""
    refused: dict[dt.date, str] = dict.fromkeys(found.unmatched, UNMATCHED)
    failed = [row for row in found.rows.values() if row.state == FAILED]
    cancelling = being_cancelled(tx, failed).items()
    refused |= {date: BEING_CANCELLED.format(number) for date, number in cancelling}
    open_dates = [date for date in found.dates if date not in refused]
    stored = checks.for_dates(tx, open_dates)
    chosen: dict[dt.date, list[str]] = {}
    named = bool(processors) and query.names_dates
    in_advance = _IN_ADVANCE if processors and not (named or query.filtered) else ""
    for date, refusals in _refusals(tx, context, open_dates, stored, named=named).items():
        names = _wanted_names(query, processors, stored[date], refusals)
        if accepted := [name for name in names if not refusals[name]]:
            chosen[date] = accepted
        elif passed := _let_pass(stored[date], refusals) if not processors else []:
            refused[date] = _WAIVED.format(join_truncated(passed))
        elif date in found.rows or stored[date]:
            whys = [f"{name} is {refusals[name]}" for name in names if processors]
            missing = any(refusals[name] != operator_acceptance.SATISFIED for name in names)
            refused[date] = "; ".join([*whys, in_advance if in_advance and missing else _NO_GAP])
        else:
            refused[date] = f"was never enqueued; {in_advance}" if in_advance else NEVER_ENQUEUED
    return chosen, refused


def _let_pass(date_checks: Mapping[str, CheckRow], refusals: Mapping[str, str]) -> list[str]:
    """The outputs that a date goes without by priority or fallback, and that no operator has accepted."""
    passed = [name for name, why in refusals.items() if why == operator_acceptance.WAIVED]
    return [name for name in passed if not date_checks[name].accepted_reason]


def _accept(
    tx: Transaction,
    context: EngineContext,
    chosen: Mapping[dt.date, Sequence[str]],
    rows: Mapping[dt.date, DateRow],
    by: Actor,
    reason: str,
) -> list[DateMoved]:
    """Accept outputs by date. Returns the moves of failed dates, which are requeued."""
    now, moves = context.now(), list[DateMoved]()
    pairs: list[Pair] = [(date, name) for date, names in chosen.items() for name in names]
    for date, name in pairs:
        checks.accept(tx, date, name, actor=by.name, reason=reason, now=now)
    failed: dict[str, list[DateRow]] = defaultdict(list)
    for date, names in chosen.items():
        if date in rows and rows[date].state == FAILED:
            failed[", ".join(names)].append(rows[date])
    for names_text, of_names in failed.items():
        why = f"gap of {names_text} accepted: {reason}"
        moves += requeue(tx, context, of_names, mode=RunMode.NORMAL, actor=by.name, reason=why)
    regressed_dates.update(tx, context, list(chosen))
    dates.make_dates_due(tx, list(chosen), dates.IMMEDIATELY)
    missing_upstream.wake_unblocked(tx, context, pairs)
    compared = compared_processors.waiting_pairs(context.pipeline, pairs)
    checks.request_check(tx, compared, now)
    return moves


def _wanted_names(
    query: DateQuery,
    processors: Collection[str],
    stored: Mapping[str, CheckRow],
    refusals: Mapping[str, str],
) -> list[str]:
    """The processors of a date that an acceptance is about."""
    verdicts = query.more.verdicts
    return [
        name
        for name in refusals
        if (not processors or name in processors)
        and (not verdicts or (name in stored and stored[name].verdict in verdicts))
    ]
