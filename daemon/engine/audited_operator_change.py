"""A change that an operator requests: its transaction with the audit row, and how it is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.base_errors import BackfilldError
from backfilld.state.records import Action, Actor
from backfilld.state.store import audit
from backfilld.state.store.audit import Facts
from backfilld.state.store.database import Transaction

Snapshotter = Callable[[Transaction], Facts | None]
"""Returns what the audit records of a target, before and after a change."""


def no_backfill(number: int) -> str:
    """That a backfill does not exist, and where those that do are listed."""
    return f"there is no backfill {number}; backfilld status lists them"


def no_attempt(number: int) -> str:
    """That an attempt does not exist, and where those that do are listed."""
    return f"there is no attempt {number}; backfilld status DATE lists those of a date"


class NotFound(BackfilldError):
    """There is no such backfill, date, processor or attempt."""


class Conflict(BackfilldError):
    """The request conflicts with the current state; the message says why."""


@contextlib.contextmanager
def audited(
    context: EngineContext, by: Actor, action: Action, target: str, snapshot: Snapshotter
) -> Iterator[Transaction]:
    """A transaction that also writes the audit row, if the snapshot of the target has changed."""
    with context.db.write() as tx, recorded(tx, context, by, action, target, snapshot):
        yield tx


@contextlib.contextmanager
def recorded(
    tx: Transaction, context: EngineContext, by: Actor, action: Action, target: str, snapshot: Snapshotter
) -> Iterator[None]:
    """Write the audit row of what happens within, if the snapshot of the target has changed."""
    before = snapshot(tx)
    yield
    after = snapshot(tx)
    if before != after:
        audit.record(tx, by, action, target, before=before, after=after, now=context.now())
