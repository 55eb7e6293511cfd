"""Notices: what was told to people, so that a restart tells nothing twice."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, Text, cast, delete, exists, literal, select

from backfilld.state.records import BackfillRow
from backfilld.state.store import row_mappers
from backfilld.state.store.schema import backfills, notifications
from backfilld.state.store.statements import upsert

ENDED = "ended"
"""What is told of a backfill last."""
STUCK = "stuck"
"""That a backfill cannot move by itself."""


def of_backfill(number: int) -> str:
    """A backfill as the subject of notices."""
    return f"backfill {number}"


def sent(tx: Connection, subjects: Collection[str]) -> Mapping[str, set[str]]:
    """What was told of each of some subjects."""
    found: dict[str, set[str]] = defaultdict(set)
    for row in tx.execute(select(notifications).where(notifications.c.subject.in_(subjects))):
        found[row.subject].add(row.topic)
    return found


def mark_sent(tx: Connection, subject: str, topics: Iterable[str], now: float) -> None:
    """Remember that these were told; telling twice is once."""
    values = [{"subject": subject, "topic": topic, "at": now} for topic in topics]
    tx.execute(upsert(tx, notifications).values(values).on_conflict_do_nothing())


def reset_end(tx: Connection, numbers: Iterable[int]) -> None:
    """These backfills go on: their end is sent again, and once more if they become stuck."""
    subjects = [of_backfill(number) for number in numbers]
    tx.execute(
        delete(notifications).where(
            notifications.c.subject.in_(subjects), notifications.c.topic.in_((ENDED, STUCK))
        )
    )


def open_backfills(tx: Connection) -> list[BackfillRow]:
    """The backfills whose end was not told, oldest first."""
    subject = literal("backfill ") + cast(backfills.c.id, Text)
    ended = exists().where(notifications.c.subject == subject, notifications.c.topic == ENDED)
    return [
        row_mappers.backfill(row)
        for row in tx.execute(select(backfills).where(~ended).order_by(backfills.c.id))
    ]
