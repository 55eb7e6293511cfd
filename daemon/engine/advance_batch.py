"""The working set of one pass over due dates: what was read, and what is to be written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from backfilld.daemon.engine import missing_upstream, periods
from backfilld.daemon.engine.context import ACTOR
from backfilld.daemon.engine.due_checks import DueChecks
from backfilld.daemon.event_types import DateMoved, Event
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import BackfillRow, DateRow, RunMode, Runnable
from backfilld.state.rules.closed_hours import Closed
from backfilld.state.rules.gates import Start, Wait, WaitReason
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.store import checks
from backfilld.state.store.database import Transaction
from backfilld.state.store.dates import WaitStatus
from backfilld.state.store.transitions import Move, Transition


@dataclass(slots=True)
class AdvanceBatch:
    """The due dates of one pass: what was read for them, and the writes collected for its end."""

    tx: Transaction
    owners: Mapping[dt.date, Ownership]
    checks: DueChecks
    days: Mapping[dt.date, Day]
    held: Mapping[str, str]
    closed: Mapping[str, Closed]
    without_calendar: Collection[dt.date]
    upstream: missing_upstream.UpstreamReader
    admitted: list[DateRow] = field(default_factory=list)
    seasons: list[tuple[dt.date, str]] = field(default_factory=list)
    """The seasons of admitted dates."""
    moves: list[Move] = field(default_factory=list)
    unchecked: list[DateRow] = field(default_factory=list)
    """The dates that wait for an earlier one, which may have no check yet."""
    waits: list[WaitStatus] = field(default_factory=list)
    to_query: list[Pair] = field(default_factory=list)
    startable: list[Pair] = field(default_factory=list)
    await_period: list[Pair] = field(default_factory=list)
    """Those that may start with the other dates of their period."""
    not_startable: list[Pair] = field(default_factory=list)
    waived: list[Pair] = field(default_factory=list)
    not_owed: list[Pair] = field(default_factory=list)
    """Complete outputs that `force` does not rewrite, because no job of the request may run."""
    ended: list[DateRow] = field(default_factory=list)
    failed_in: dict[int, BackfillRow] = field(default_factory=dict)
    """The backfills that want a date that has failed."""
    events: list[Event] = field(default_factory=list)

    def let_start(self, pipeline: Pipeline, date: dt.date, start: Start) -> Wait:
        """Let processors of a date start, alone or with their period. Returns what the date waits for."""
        together = periods.awaiting(pipeline, start.processors, self.checks.decisive(date))
        self.await_period += [(date, name) for name in start.processors if name in together]
        self.startable += [(date, name) for name in start.processors if name not in together]
        if together.issuperset(start.processors) and start.wait.waiting is WaitReason.SLOT:
            return start.with_period
        return start.wait

    def is_runnable(self, pair: Pair) -> bool:
        """Whether a check may start already, by the priority that its date has."""
        date, processor = pair
        check = self.checks.decisive(date)[processor]
        return check.runnable == Runnable.NOW and check.priority == self.owners[date].owners[0].priority

    def keep_from_starting(self, date: dt.date) -> None:
        """Let no output of a date start that may."""
        known = self.checks.decisive(date).values()
        self.not_startable += [(date, check.processor) for check in known if check.runnable]

    def withdraw_rewrites(self, date: dt.date) -> None:
        """Have complete outputs of a cancelled date satisfy needs again that no job has begun to rewrite."""
        known = self.checks.whole(date).values()
        left = [c for c in known if c.awaits_rewrite and c.verdict.satisfied and not c.attempt_count]
        pairs = [(date, check.processor) for check in left]
        checks.set_mode(self.tx, pairs, RunMode.NORMAL)
        checks.set_satisfied(self.tx, pairs)
        self.not_owed += pairs


@dataclass(slots=True)
class DateWalk:
    """One date in one pass: its current state and the transitions made so far."""

    row: DateRow
    state: str
    entered_at: float
    transitions: list[Transition] = field(default_factory=list)

    def step(self, trigger: Trigger, target: str, reason: str = "") -> None:
        """Add a transition and enter `target`."""
        self.transitions.append(Transition(trigger=trigger, target=target, reason=reason))
        self.state = target

    def moves(self) -> list[DateMoved]:
        """The events of the transitions, in order."""
        sources = [self.row.state, *(transition.target for transition in self.transitions)]
        return [
            DateMoved(
                date=self.row.date,
                source=source,
                target=transition.target,
                trigger=transition.trigger,
                reason=transition.reason,
                actor=ACTOR,
            )
            for source, transition in zip(sources, self.transitions, strict=False)
        ]
