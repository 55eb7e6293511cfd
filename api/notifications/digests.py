"""What is worth telling people of backfills and breakers, derived from what stands and what was told.

A digest is told once per backfill and step, never per date. Where several are due, only the latest is told:
after an outage of whoever is told there is no backlog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.reports.progress import progress
from backfilld.state.formatting import format_utc
from backfilld.state.records import BackfillRow, HoldRow
from backfilld.state.rules.machine import FINAL
from backfilld.state.store import backfills, counters, holds, notifications
from backfilld.state.store.database import Transaction
from backfilld.state.store.notifications import ENDED

STEPS = (0, 25, 50, 75)
"""Percent of a backfill's dates that have ended; 0 is its start, and 100 its end."""
OLD_SECONDS = 86_400.0
"""What began longer ago, is over and was never told, is no news: nobody was to be told then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One message about one subject, and the notices that it stands for. Without a text it is no news."""

    subject: str
    whats: Sequence[str]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillProgress:
    """How far a backfill is: its dates by outcome, and how many are live."""

    row: BackfillRow
    status: str
    live: int
    outcomes: Mapping[str, int]

    @property
    def ended(self) -> int:
        """How many of its dates have ended."""
        return sum(self.outcomes.values())

    @property
    def total(self) -> int:
        """How many dates it holds."""
        return self.ended + self.live

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in ("finished", "cancelled")


def due(tx: Transaction, context: EngineContext) -> Iterator[Digest]:
    """What is to be told now, at most one digest for each subject."""
    rows = notifications.open_backfills(tx)
    told = notifications.sent(tx, [notifications.of_backfill(row.id) for row in rows])
    courses = [_course(tx, row) for row in rows]
    for course in courses:
        subject = notifications.of_backfill(course.row.id)
        what = what_is_due(course, told[subject])
        if what is not None:
            old = course.over and not told[subject] and course.row.created_at < context.now() - OLD_SECONDS
            text = "" if old else f"{context.pipeline.name}: {subject} {_tell(tx, context, course, what)}"
            yield Digest(subject=subject, whats=implied_topics(what), text=escape(text, quote=False))
    waiting = [course.row.id for course in courses if course.live]
    yield from _breakers(tx, context, waiting)


def what_is_due(course: BackfillProgress, told: Collection[str]) -> str | None:
    """The one notice about a backfill that is to be given next."""
    if course.over:
        return None if ENDED in told else ENDED
    stop = f"stopped {course.row.stopped_at}"
    if course.status == "stopped" and stop not in told:
        return stop
    if course.status == "cancelling" or not course.total:
        return None
    percent = 100 * course.ended // course.total
    reached = _step(max(step for step in STEPS if step <= percent))
    return None if reached in told else reached


def implied_topics(what: str) -> Sequence[str]:
    """The notice itself, and all earlier steps, which it makes old."""
    steps = [_step(step) for step in STEPS]
    if what == ENDED:
        return [*steps, ENDED]
    return steps[: steps.index(what) + 1] if what in steps else [what]


def _step(percent: int) -> str:
    return f"{percent} %"


def _course(tx: Transaction, row: BackfillRow) -> BackfillProgress:
    counts = counters.dates(tx, row.id)
    outcomes: Counter[str] = Counter()
    for count in counts:
        if count.state in FINAL:
            outcomes[count.outcome] += count.n
    live = sum(count.n for count in counts if count.state not in FINAL)
    return BackfillProgress(row=row, status=backfills.status(tx, row), live=live, outcomes=outcomes)


def _tell(tx: Transaction, context: EngineContext, course: BackfillProgress, what: str) -> str:
    row = course.row
    if what == ENDED:
        how = "finished (100 %)" if course.status == "finished" else "was cancelled"
        return f"{how}, begun {format_utc(row.created_at)}\n{_table(tx, course)}"
    if what == _step(0):
        return f"started: {row.start}..{row.end}, {_counts(backfills.answers(tx, row.id))}{_asked_for(row)}"
    if what in implied_topics(ENDED):
        eta = progress(tx, context).eta
        end = f"; may end {format_utc(eta.at)}" if eta.at is not None else ""
        return f"has passed {what}: {_so_far(course)}. All backfills: {eta.method}{end}"
    return f"is stopped: {row.stop_reason}; {_so_far(course)}. To go on: backfilld resume {row.id}"


def _asked_for(row: BackfillRow) -> str:
    by = f", asked for by {row.actor}" if row.actor else ""
    return f"{by}: {row.note}" if row.note else by


def _so_far(course: BackfillProgress) -> str:
    return f"{course.ended} of {course.total} dates have ended ({_counts(course.outcomes)})"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in Counter(counts).most_common()) or "none"


def _table(tx: Transaction, course: BackfillProgress) -> str:
    """The outcomes of its dates; where it holds none, what became of the request."""
    counts = course.outcomes or backfills.answers(tx, course.row.id)
    lines = [f"{name:<14}{n:>7}" for name, n in Counter(counts).most_common()]
    return "\n".join(["```", *lines, "```"])


def _breakers(tx: Transaction, context: EngineContext, live: Sequence[int]) -> Iterator[Digest]:
    """Processors that a breaker has paused."""
    placed = [hold for hold in holds.all_holds(tx) if hold.kind == "processor"]
    told = notifications.sent(tx, [_breaker(hold) for hold in placed])
    waiting = f" Backfills under way: {', '.join(map(str, live))}." if live else ""
    for hold in placed:
        what = f"paused {hold.since}"
        if what not in told[_breaker(hold)]:
            remedy = f"To go on: backfilld release processor {hold.key}"
            text = f"{context.pipeline.name}: {hold.reason}.{waiting} {remedy}"
            yield Digest(subject=_breaker(hold), whats=[what], text=escape(text, quote=False))


def _breaker(hold: HoldRow) -> str:
    return f"processor {hold.key}"
