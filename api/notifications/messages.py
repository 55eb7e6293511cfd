"""Digests of backfills and circuit breakers, derived from the current state and the topics already sent.

A digest is sent once per backfill and step, never per date. If several are due, only the latest is sent, so
that an outage of the webhook causes no backlog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.reports import stuck_backfills
from backfilld.daemon.reports.progress import estimated_end
from backfilld.state.formatting import format_utc, pluralize
from backfilld.state.records import ENGINE, BackfillRow, HoldRow
from backfilld.state.store import attempt_verdicts, backfills, holds, sent_notifications
from backfilld.state.store.backfill_or_season_scope import DateScope
from backfilld.state.store.database import Transaction
from backfilld.state.store.sent_notifications import AGAIN, ENDED, STUCK

STEPS = (0, 25, 50, 75)
"""Percent of ended dates at which a digest is sent; 0 is the start. The end has its own topic."""
OLD_SECONDS = 86_400.0
"""A finished backfill older than this without any digest predates the webhook: its end is not sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One message about one subject, and the topics that it covers. An empty text is not sent."""

    subject: str
    topics: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillProgress:
    """Progress of a backfill: ended dates by outcome, and the number of live dates."""

    row: BackfillRow
    status: str
    live: int
    outcomes: Mapping[str, int]
    stuck_on: str | None = None
    """Why a stuck backfill cannot move, and what helps."""

    @property
    def ended(self) -> int:
        """Number of ended dates."""
        return sum(self.outcomes.values())

    @property
    def total(self) -> int:
        """Number of dates that it wants or wanted."""
        return self.ended + self.live

    @property
    def percent(self) -> int:
        """Percent of its dates that have ended."""
        return 100 * self.ended // self.total if self.total else 0

    @property
    def over(self) -> bool:
        """Whether it is finished or cancelled."""
        return self.status in ("finished", "cancelled")


def due(tx: Transaction, context: EngineContext) -> Iterator[Digest]:
    """The digests to send now, at most one for each subject."""
    rows = sent_notifications.open_backfills(tx)
    sent = sent_notifications.sent(tx, [sent_notifications.of_backfill(row.id) for row in rows])
    progresses = [_backfill_progress(tx, context, row) for row in rows]
    for backfill in progresses:
        subject = sent_notifications.of_backfill(backfill.row.id)
        topic = due_topic(backfill, sent[subject])
        if topic is not None:
            old = (
                backfill.over and not sent[subject] and backfill.row.created_at < context.now() - OLD_SECONDS
            )
            message = "" if old else _message(tx, context, backfill, topic, again=AGAIN in sent[subject])
            text = f"{context.pipeline.name}: {subject} {message}" if message else ""
            topics = implied_topics(topic, backfill.percent)
            yield Digest(subject=subject, topics=topics, text=escape(text, quote=False))
    live = [backfill.row.id for backfill in progresses if backfill.live]
    yield from _breakers(tx, context, live)


def due_topic(backfill: BackfillProgress, sent: Collection[str]) -> str | None:
    """The topic to send next about a backfill; None if nothing is due."""
    if backfill.over:
        return None if ENDED in sent else ENDED
    stop = f"stopped {backfill.row.stopped_at}"
    if backfill.status == "stopped" and stop not in sent:
        return stop
    if backfill.status == stuck_backfills.STUCK and STUCK not in sent:
        return STUCK
    if backfill.status == "cancelling" or not backfill.total:
        return None
    reached = _step(max(step for step in STEPS if step <= backfill.percent))
    return None if reached in sent else reached


def implied_topics(topic: str, percent: int = 0) -> Sequence[str]:
    """The topic and all earlier steps, which it makes obsolete.

    A stop names the ended dates, `percent` of all: the step that was passed with it is no news after it.
    """
    steps = [_step(step) for step in STEPS]
    if topic == ENDED:
        return [*steps, ENDED]
    if topic in steps:
        return steps[: steps.index(topic) + 1]
    return [*(_step(step) for step in STEPS if step <= percent), topic]


def _step(percent: int) -> str:
    return f"{percent} %"


def _backfill_progress(tx: Transaction, context: EngineContext, row: BackfillRow) -> BackfillProgress:
    _, outcomes = backfills.status_counts(tx, row.id)
    live = backfills.live_dates(tx, row.id)
    status, stuck_on = stuck_backfills.status(tx, context, row)
    return BackfillProgress(row=row, status=status, live=live, outcomes=outcomes, stuck_on=stuck_on)


def _message(
    tx: Transaction, context: EngineContext, backfill: BackfillProgress, topic: str, *, again: bool
) -> str:
    """`again`: its end was sent before, and dates of it have run again since."""
    row = backfill.row
    if topic == ENDED:
        finished = "finished again (100 %): dates ran again" if again else "finished (100 %)"
        result = finished if backfill.status == "finished" else "was cancelled"
        wrong = _wrong_attempts(tx, row.id)
        return f"{result}, started {format_utc(row.created_at)}{wrong}\n{_table(tx, backfill)}"
    if topic == _step(0):
        return (
            f"started: {row.start}..{row.end}, {_counts(backfills.answers(tx, row.id))}{_requested_by(row)}"
        )
    if topic in implied_topics(ENDED):
        eta = estimated_end(tx, context, DateScope(backfill=row.id))
        end = f"; ETA {format_utc(eta.at)}" if eta.at is not None else ""
        method = f"ETA {eta.method}" if eta.method.startswith("unknown") else eta.method
        return f"has passed {topic}: {_so_far(backfill)}. {method}{end}"
    if topic == STUCK:
        return f"is stuck: {backfill.stuck_on}; {_so_far(backfill)}"
    return f"is stopped: {row.stop_reason}; {_so_far(backfill)}. To resume: backfilld resume {row.id}"


def _wrong_attempts(tx: Transaction, backfill_id: int) -> str:
    """How many attempts reported success and left something wrong, by verdict; empty without any."""
    verdicts = attempt_verdicts.unsatisfied_with_code_0(tx, backfill_id)
    if not verdicts:
        return ""
    attempts = pluralize(sum(verdicts.values()), "attempt")
    return f"; {attempts} exited with 0 and left something wrong: {_counts(verdicts)}"


def _requested_by(row: BackfillRow) -> str:
    by = f", requested by {row.actor}" if row.actor else ""
    return f"{by}: {row.note}" if row.note else by


def _so_far(backfill: BackfillProgress) -> str:
    ended = f"{'has' if backfill.ended == 1 else 'have'} ended ({_counts(backfill.outcomes)})"
    return f"{backfill.ended} of {pluralize(backfill.total, 'date')} {ended}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in Counter(counts).most_common()) or "none"


def _table(tx: Transaction, backfill: BackfillProgress) -> str:
    """Its dates by outcome; by request outcome if it owns no date."""
    counts = backfill.outcomes or backfills.answers(tx, backfill.row.id)
    lines = [f"{name:<14}{n:>7}" for name, n in Counter(counts).most_common()]
    return "\n".join(["```", *lines, "```"])


def _breakers(tx: Transaction, context: EngineContext, live: Sequence[int]) -> Iterator[Digest]:
    """One digest for each processor that a circuit breaker holds."""
    placed = [hold for hold in holds.all_holds(tx) if hold.kind == "processor" and hold.actor == ENGINE]
    sent = sent_notifications.sent(tx, [_subject(hold) for hold in placed])
    waiting = f" Live backfills: {', '.join(map(str, live))}." if live else ""
    for hold in placed:
        topic = f"paused {hold.since}"
        if topic not in sent[_subject(hold)]:
            remedy = f"To release: backfilld release processor {hold.key}"
            text = f"{context.pipeline.name}: {hold.reason}.{waiting} {remedy}"
            yield Digest(subject=_subject(hold), topics=[topic], text=escape(text, quote=False))


def _subject(hold: HoldRow) -> str:
    return f"processor {hold.key}"
