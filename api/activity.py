"""What goes on right now, in words: the last line of each job under way, and what live dates wait for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from backfilld.api import job_log
from backfilld.api.ports import DaemonService
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.reports.waiting import waiting_on
from backfilld.state.records import AttemptRow
from backfilld.state.store import counters, dates
from backfilld.state.store.database import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Live dates that wait for the same: how many, and the first of them with its sentence."""

    reason: str
    n: int
    date: dt.date
    sentence: str


def last_line(service: DaemonService, attempt: AttemptRow) -> str:
    """The last line that an attempt has written; empty where there is none yet, or its executor is gone."""
    executor = service.executors.get(attempt.executor)
    return job_log.last_line(executor.log(attempt.id)) if executor else ""


def waits(tx: Transaction, context: EngineContext) -> list[Wait]:
    """What live dates wait for, the most frequent first."""
    counts: dict[str, int] = {}
    for count in counters.dates(tx):
        if count.waiting:
            counts[count.waiting] = counts.get(count.waiting, 0) + count.n
    found = [_wait(tx, context, reason, n) for reason, n in counts.items()]
    return sorted((wait for wait in found if wait is not None), key=lambda wait: -wait.n)


def _wait(tx: Transaction, context: EngineContext, reason: str, n: int) -> Wait | None:
    """One date at a time: asking about several at once would read all that lies between them."""
    span = dates.span_waiting(tx, reason)
    row = dates.get(tx, span[0]) if span is not None else None
    sentence = waiting_on(tx, context, [row]) if row is not None else {}
    return next((Wait(reason=reason, n=n, date=date, sentence=text) for date, text in sentence.items()), None)
