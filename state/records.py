"""Rows of the state database as frozen values, passed between store, engine and API.

Those that the engine reads for every job are named tuples, in the order of their columns: making a frozen
dataclass of so many fields takes longer than reading the row.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, ClassVar, NamedTuple

from backfilld.state.audit_action import Action as Action  # noqa: PLC0414 - a part of this interface
from backfilld.state.rules.check_command_run import CheckRun
from backfilld.state.rules.evidence import HistoryRun
from backfilld.state.rules.verdict import Verdict

ENGINE = "engine"
"""The actor of what the engine does by itself."""


class RunMode(StrEnum):
    """How a date treats processors that are complete, accepted, or without data where that is trusted."""

    NORMAL = "normal"
    RETRY = "retry"
    """After a retry: accepted gaps count no more, and `no_data = "trust"` holds only after an attempt."""
    FORCE = "force"
    """Every processor rewrites its output once, also where that is complete."""
    CASCADE = "cascade"
    """Of one processor: its output may become stale, and satisfies no need until its date has passed it."""
    REFRESH = "refresh"
    """Of one processor: its provisional output is computed once more, and may turn out the same."""
    WAIVED = "waived"
    """Of one processor: an earlier request waived its output, and this one does not run it."""


class Runnable(IntEnum):
    """Whether a check may start its job: not, when there is a free slot, or with its whole period."""

    NO = 0
    NOW = 1
    WITH_PERIOD = 2
    """Decided as `NOW`; other dates of the period that one attempt computes are not ready."""


class Sources(StrEnum):
    """Which processors of the first phase may run."""

    ALL = "all"
    """All of them."""
    CRITICAL = "critical"
    """Those of priority `critical`. Missing outputs of the other ones are waived."""
    NONE = "none"
    """None. A missing `critical` output fails the date as `blocked`; other ones are waived."""

    @property
    def width(self) -> int:
        """How wide it is: with a higher one more processors may run."""
        return -[*Sources].index(self)


class Mark(StrEnum):
    """What can be wrong with a date that has ended."""

    REGRESSED = "regressed"
    """It is no longer complete."""
    STALE = "stale"
    """An input of one of its outputs was repaired after that was computed, or is stale itself."""


class EnqueueOutcome(StrEnum):
    """The outcome of one requested date."""

    ENQUEUED = "enqueued"
    """The date belongs to the new backfill."""
    ALREADY_DONE = "already_done"
    """The date is done, and complete by the latest evidence; if the warehouse cannot be queried, by older."""
    JOINED = "joined"
    """Another backfill has the date. It goes on for both, and both get its outcome."""
    NOT_EXPECTED = "not_expected"
    """The calendar expects nothing."""
    INVALID = "invalid"
    """No date has it: a request with a date that cannot be read is refused as a whole."""


class AttemptStatus(StrEnum):
    """How far an attempt's process came. Whether its rows are there is the verdict, not the status."""

    RUNNING = "running"
    """Under way."""
    EXITED = "exited"
    """It exited by itself, with the code in `exit_code`."""
    TIMED_OUT = "timed_out"
    """It was killed at its `timeout`."""
    IDLE = "idle"
    """It was killed after `idle_timeout` without output."""
    CANCELLED = "cancelled"
    """It was killed because its backfill was cancelled."""
    LOST = "lost"
    """It has no exit code: its host went down, it was killed from outside, or it could not be started."""


def attempt_result(status: str, exit_code: int | None) -> str:
    """An attempt's status, with the code of one that exited: `exited 0`, `exited 2`, `timed_out`."""
    return f"{status} {exit_code}" if status == AttemptStatus.EXITED else status


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who requests a change, from which address, in which HTTP request."""

    name: str
    address: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillRow:
    """A request for a set of dates, with its own pause and cancel."""

    id: int
    start: dt.date
    end: dt.date
    dates: int
    sources: Sources
    force: bool
    priority: int
    max_failures: int | None
    note: str
    actor: str
    created_at: float
    paused_at: float | None
    cancelled_at: float | None
    stopped_at: float | None
    stop_reason: str
    failures_baseline: int
    selection: tuple[str, ...] | None = None
    """The processors that it lets run; None: all, whichever the pipeline file has."""

    def selects(self, processor: str) -> bool:
        """Whether it lets a processor run, as far as its sources do."""
        return self.selection is None or processor in self.selection


class DateRow(NamedTuple):
    """One date's state machine."""

    date: dt.date
    state: str
    outcome: str
    reason: str
    waiting: str
    waiting_text: str
    due_at: float | None
    backfill_id: int
    priority: int
    season: str
    mode: RunMode
    entered_at: float
    ended_at: float | None
    version: int
    regressed: str
    swept_at: float | None
    stale_at: float | None
    cascades: bool


class CheckRow(NamedTuple):
    """The latest evidence, verdict and attempt of one (processor, date)."""

    date: dt.date
    processor: str
    output: str
    """The output table that verdict and attempts are about; empty before the first verdict."""
    verdict: Verdict
    satisfied: bool
    rows: int | None
    """As last counted: an `unknown` verdict changes them only if it has counted them."""
    expected: str
    reason: str
    asked_at: float | None
    query_due_at: float | None
    generation: int
    attempt_count: int
    clean_attempts: int
    """The attempts among them that exited with 0."""
    retry_at: float | None
    runnable: int
    """A `Runnable`."""
    priority: int
    mode: str
    attempt_id: int | None
    last_attempt_started_at: float | None
    last_attempt_ended_at: float | None
    last_attempt_succeeded: bool
    last_attempt_detail: str
    last_attempt_counts: bool = True  # for the circuit breaker
    write_stamp: str | None = None
    """Of its partition when that was last queried; None: not known, or not since the last attempt began."""
    stamp_before: str | None = None
    """Of its partition when the latest attempt was claimed; None: not known."""
    stale_at: float | None = None
    """When an input of its output was repaired after the output was computed; None: it was not."""
    waived_by: str = ""
    waiver_reason: str = ""
    accepted_by: str = ""
    accepted_reason: str = ""
    previous_attempts: tuple[HistoryRun, ...] = ()
    """All ended attempts, where `with_attempt_history` has attached them; else empty."""
    check_run: CheckRun | None = None
    """The latest run of its check command, where `check_runs.attached` has added it; else None."""

    @property
    def counted(self) -> int | None:
        """The rows that the verdict rests on; None where it rests on none."""
        return None if self.verdict is Verdict.UNKNOWN else self.rows

    @property
    def awaits_rewrite(self) -> bool:
        """Whether the output is to be computed although complete, and no attempt is known to have done so."""
        return self.mode in (RunMode.FORCE, RunMode.REFRESH)

    @property
    def is_to_be_tried(self) -> bool:
        """Whether no attempt has begun since a retry, or since the file has named the table."""
        return self.mode == RunMode.RETRY and self.last_attempt_started_at is None

    @property
    def must_change(self) -> bool:
        """Whether an attempt that leaves the partition as it was counts as not having written."""
        return self.mode != RunMode.REFRESH

    @property
    def follows_rewrite(self) -> bool:
        """Whether the latest attempt was to compute the output although complete, and has ended."""
        ended = self.attempt_id is None and self.last_attempt_ended_at is not None
        return self.awaits_rewrite and self.attempt_count > 0 and ended

    @property
    def failed_rerun(self) -> bool:
        """Whether the verdict is about a rerun that did not rewrite the output, whatever its rows are."""
        return self.follows_rewrite and self.verdict in (Verdict.FAILED, Verdict.UNTOUCHED)

    @property
    def follows_attempt(self) -> bool:
        """Whether the next verdict is the first since the latest attempt ended."""
        return self.last_attempt_ended_at is not None and (self.asked_at or 0.0) < self.last_attempt_ended_at

    def last_attempt_on(self, table: str) -> HistoryRun | None:
        """The daemon's latest attempt, as a run of the history; None if it was for another table."""
        if self.last_attempt_started_at is None or self.output != table:
            return None
        return HistoryRun(
            succeeded=self.last_attempt_succeeded,
            started_at=self.last_attempt_started_at,
            ended_at=self.last_attempt_ended_at,
            detail=self.last_attempt_detail,
        )


class AttemptRow(NamedTuple):
    """One execution of one processor's job."""

    id: int
    date: dt.date
    processor: str
    phase: str
    backfill_id: int
    executor: str
    output: str
    writer: int
    sequence: str | None
    status: AttemptStatus
    handle: str | None
    stopping: str | None
    claimed_at: float
    started_at: float
    ended_at: float | None
    exit_code: int | None
    detail: str
    tail: str
    max_rss_bytes: int | None
    cpu_seconds: float | None

    @property
    def ended_well(self) -> bool:
        """Whether its process exited with code 0."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionRow:
    """One row of a date's history."""

    date: dt.date
    version: int
    source: str
    target: str
    trigger: str
    reason: str
    actor: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRow:
    """What may not be used until it is released: everything, a processor, a table or the warehouse."""

    kind: str
    key: str
    reason: str
    actor: str
    since: float
    until: float | None
    absolute: bool = False
    """Whether `until` is a time of the calendar, such as midnight."""
    derived: ClassVar[bool] = False
    """Whether it follows from the pipeline file, as closed windows and full pools do."""

    @property
    def text(self) -> str:
        """The hold as a sentence: what is held, by whom and why. The engine's reasons name what they hold."""
        because = f": {self.reason}" if self.reason else ""
        if self.actor == ENGINE and self.kind != "warehouse":
            return self.reason or f"{self.kind} {self.key} is held"
        if self.actor == ENGINE:
            return f"the warehouse is not queried{because}"
        if self.kind == "all":
            return f"everything is paused by {self.actor}{because}"
        held = "the warehouse" if self.kind == "warehouse" else f"{self.kind} {self.key}"
        return f"{held} is held by {self.actor}{because}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """A change that a person requested; `before` and `after` are None where nothing existed."""

    id: int
    at: float
    actor: str
    address: str
    request_id: str
    action: Action
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
