"""Notifications that were sent, so that a restart sends none of them twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, Text, and_, bindparam, cast, delete, exists, literal, select

from backfilld.state.records import BackfillRow
from backfilld.state.store import row_mappers
from backfilld.state.store.schema import backfills, notifications
from backfilld.state.store.sql_helpers import execute, fetch, upsert

ENDED = "ended"
"""The topic of the last notification of a backfill."""
AGAIN = "again"
"""Not a message: its end was sent, and it has dates to run again since."""
STUCK = "stuck"
"""The topic of a backfill that cannot move by itself."""

_THESE = and_(
    notifications.c.subject.in_(bindparam("_subjects", expanding=True)),
    notifications.c.topic == bindparam("_topic"),
)
_SENT_TO = select(notifications.c.subject).where(_THESE)
_FORGET = delete(notifications).where(_THESE)


def of_backfill(number: int) -> str:
    """A backfill as the subject of notifications."""
    return f"backfill {number}"


def sent(tx: Connection, subjects: Collection[str]) -> Mapping[str, set[str]]:
    """The topics that were sent of each subject."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in tx.execute(select(notifications).where(notifications.c.subject.in_(subjects))):
        found[row.subject].add(row.topic)
    return found


def mark_sent(tx: Connection, subject: str, topics: Iterable[str], now: float) -> None:
    """Record topics as sent. A topic that is recorded already stays as it is."""
    values = [{"subject": subject, "topic": topic, "at": now} for topic in topics]
    tx.execute(upsert(tx, notifications).values(values).on_conflict_do_nothing())


def reset_end(tx: Connection, numbers: Iterable[int], now: float) -> None:
    """Let the end of these backfills be sent again, because they continue."""
    ended = _these(ENDED, numbers)
    for row in fetch(tx, _SENT_TO, ended):
        mark_sent(tx, row.subject, [AGAIN], now)
    execute(tx, _FORGET, [ended])


def reset_stuck(tx: Connection, numbers: Iterable[int]) -> None:
    """Let it be sent again that these backfills are stuck, because they move."""
    execute(tx, _FORGET, [_these(STUCK, numbers)])


def _these(topic: str, numbers: Iterable[int]) -> dict[str, object]:
    """The parameters for the notifications of these backfills that have the topic."""
    return {"_subjects": [of_backfill(number) for number in numbers], "_topic": topic}


def open_backfills(tx: Connection) -> list[BackfillRow]:
    """The backfills whose end was not sent, oldest first."""
    subject = literal("backfill ") + cast(backfills.c.id, Text)
    ended = exists().where(notifications.c.subject == subject, notifications.c.topic == ENDED)
    return [
        row_mappers.backfill(row)
        for row in tx.execute(select(backfills).where(~ended).order_by(backfills.c.id))
    ]
