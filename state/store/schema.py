"""The schema of the state database, as it stands after the last migration.

Times are epoch seconds (UTC), dates are plain dates. Two rules of movement are unique indexes here, so
that no thread, no bug and no second daemon can break them: one attempt at a time in a sequential phase,
and one writer (or `writers` of them, numbered) per output table.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    literal_column,
    text,
)

from backfilld.state.pipeline.models import DONE, FAILED

metadata = MetaData()

_BIG = Integer().with_variant(BigInteger(), "postgresql")
"""A whole number that may be beyond 2^31, which SQLite keeps in any column."""


def _flag(name: str) -> Column[int]:
    """A 0 or 1 that starts as 0."""
    return Column(name, Integer, CheckConstraint(f"{name} IN (0, 1)"), nullable=False, server_default="0")


def _text(name: str) -> Column[str]:
    """A text that is empty rather than NULL."""
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _partial(name: str, *columns: str | TextClause, where: str, unique: bool = False) -> Index:
    """An index of the rows that meet a condition."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


backfills = Table(
    "backfills",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("start", Date, nullable=False),
    Column("end", Date, nullable=False),
    Column("dates", Integer, nullable=False),
    Column("sources", Text, CheckConstraint("sources IN ('all', 'critical', 'none')"), nullable=False),
    _flag("force"),
    _count("priority"),
    Column("max_failures", Integer),
    _text("note"),
    _text("actor"),
    Column("created_at", Double, nullable=False),
    Column("paused_at", Double),
    Column("cancelled_at", Double),
    Column("stopped_at", Double),
    _text("stop_reason"),
    # Failures that a resume has forgiven: max_failures counts from there.
    _count("failures_baseline"),
    Column("request_key", Text, unique=True),
    _text("request_hash"),
)

dates = Table(
    "dates",
    metadata,
    Column("date", Date, primary_key=True),
    Column("state", Text, nullable=False),
    _text("outcome"),
    _text("reason"),
    # What a live date waits for: a word of daemon.decide.Waiting, and the sentence where it is fixed.
    _text("waiting"),
    _text("waiting_text"),
    # When the engine looks at it again; NULL: when something happens.
    Column("due_at", Double),
    Column("backfill_id", ForeignKey("backfills.id"), nullable=False),
    _count("priority"),
    _text("season"),
    # How work that looks done is treated: normal, insist (after a retry), force.
    Column(
        "mode", Text, CheckConstraint("mode IN ('normal', 'retry_no_data', 'force')"), server_default="normal"
    ),
    # As of when the evidence was taken that let it into its state.
    Column("entered_at", Double, nullable=False),
    Column("ended_at", Double),
    _count("version"),
    # Why a done date is no longer complete, and when the sweep last looked at it; NULL: not since it ended.
    _text("regressed"),
    Column("swept_at", Double),
    # The earlier date that was repaired after this one was computed, and when; NULL: none.
    Column("stale_by", Date),
    Column("stale_at", Double),
    # Whether its sequential phases run once whatever they show, and what its repair makes stale follows.
    _flag("cascades"),
    CheckConstraint(f"(state IN ('{DONE}', '{FAILED}')) = (outcome <> '')", name="outcome_is_final"),
    CheckConstraint(f"(state IN ('{DONE}', '{FAILED}')) = (ended_at IS NOT NULL)", name="end_is_final"),
    _partial("dates_due", "due_at", text("priority DESC"), "date", where="due_at IS NOT NULL"),
    Index("dates_state", "state", "date"),
    Index("dates_backfill", "backfill_id", "state"),
    Index("dates_waiting", "waiting", "date"),
    Index("dates_ended", "ended_at"),
    _partial(
        "dates_seen",
        text("coalesce(swept_at, ended_at)"),
        where="outcome IN ('complete', 'bootstrap', 'waived')",
    ),
    _partial("dates_regressed", "date", where="regressed <> ''"),
    _partial("dates_stale", "date", where="stale_at IS NOT NULL"),
)

backfill_dates = Table(
    "backfill_dates",
    metadata,
    Column("backfill_id", ForeignKey("backfills.id"), primary_key=True),
    Column("date", Date, primary_key=True),
    # What became of the request for this date, and how the date ended under this backfill.
    Column("answer", Text, nullable=False),
    _text("reason"),
    _text("verdicts"),
    _text("state"),
    _text("outcome"),
)

transitions = Table(
    "transitions",
    metadata,
    Column("date", ForeignKey("dates.date"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    _text("reason"),
    _text("actor"),
    Column("at", Double, nullable=False),
    CheckConstraint("source <> target", name="moves"),
)

checks = Table(
    "checks",
    metadata,
    Column("date", Date, primary_key=True),
    Column("processor", Text, primary_key=True),
    # The latest verdict with its figures.
    Column("verdict", Text, nullable=False, server_default="unknown"),
    _flag("satisfied"),
    Column("rows", _BIG),
    _text("expected"),
    _text("reason"),
    Column("asked_at", Double),
    # When the warehouse shall be asked; the generation tells an old answer from one to the latest question.
    Column("query_due_at", Double),
    _count("generation"),
    # Running it: how often it was tried, not before when, and whether only a slot is missing.
    _count("attempt_count"),
    Column("retry_at", Double),
    _flag("runnable"),
    _count("priority"),
    _text("mode"),
    Column("attempt_id", Integer),
    # How our latest attempt ended: history of the weakest kind.
    Column("last_attempt_started_at", Double),
    Column("last_attempt_ended_at", Double),
    _flag("last_attempt_succeeded"),
    _text("last_attempt_detail"),
    # When what its output is computed from has changed since; None: it has not, as far as is known.
    Column("stale_at", Double),
    # What lets the date pass although the output is not what it should be, and who says so:
    # a fallback, the policy or an operator.
    _text("waived_by"),
    _text("waiver_reason"),
    _text("accepted_by"),
    _text("accepted_reason"),
    _partial("checks_wanted", "query_due_at", "date", where="query_due_at IS NOT NULL"),
    _partial("checks_runnable", "processor", text("priority DESC"), "date", where="runnable = 1"),
    _partial("checks_holes", "processor", "date", where="satisfied = 0"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("date", Date, nullable=False),
    Column("processor", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("backfill_id", ForeignKey("backfills.id"), nullable=False),
    Column("executor", Text, nullable=False),
    Column("output", Text, nullable=False),
    Column("writer", Integer, nullable=False),
    # The phase's name in a sequential phase, else NULL.
    Column("sequence", Text),
    Column("status", Text, nullable=False),
    Column("handle", Text),
    Column("stopping", Text),
    Column("claimed_at", Double, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("exit_code", Integer),
    _text("detail"),
    _text("tail"),
    Column("max_rss_bytes", _BIG),
    Column("cpu_seconds", Double),
    CheckConstraint(
        "status IN ('running', 'exited', 'timed_out', 'idle', 'cancelled', 'lost')", name="status_is_known"
    ),
    # So that `exit_code = 0` alone says that an attempt ended well.
    CheckConstraint("exit_code IS NULL OR exit_code <> 0 OR status = 'exited'", name="code_0_has_exited"),
    CheckConstraint("status <> 'exited' OR exit_code IS NOT NULL", name="exited_has_a_code"),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="running_has_no_end"),
    _partial(
        "one_attempt_per_sequential_phase",
        "sequence",
        where="status = 'running' AND sequence IS NOT NULL",
        unique=True,
    ),
    _partial("one_writer_per_table", "output", "writer", where="status = 'running'", unique=True),
    Index("attempts_processor", "processor", "ended_at"),
    Index("attempts_ended", "ended_at"),
    sqlite_autoincrement=True,
)

attempt_dates = Table(
    "attempt_dates",
    metadata,
    Column("date", Date, primary_key=True),
    Column("attempt_id", ForeignKey("attempts.id"), primary_key=True),
    Index("attempt_dates_attempt", "attempt_id"),
)

calendar_days = Table(
    "calendar_days",
    metadata,
    Column("date", Date, primary_key=True),
    # NULL where the calendar does not count games.
    Column("games", Integer),
    Column("asked_at", Double, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    # What is held: everything, one processor, one output table, or the warehouse.
    Column(
        "kind", Text, CheckConstraint("kind IN ('all', 'processor', 'table', 'warehouse')"), primary_key=True
    ),
    Column("key", Text, primary_key=True),
    _text("reason"),
    _text("actor"),
    Column("since", Double, nullable=False),
    Column("until", Double),
)

breaker_counts = Table(
    "breaker_counts",
    metadata,
    Column("processor", Text, primary_key=True),
    Column("error", Text, nullable=False),
    Column("length", Integer, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    # Who asked, from where, in which request.
    Column("actor", Text, nullable=False),
    _text("address"),
    _text("request_id"),
    # What for, and what stood there before and after: JSON, or NULL where there was nothing.
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    sqlite_autoincrement=True,
)

# What was used of each daily budget, by quota day; the limits are in the pipeline file.
budgets = Table(
    "budgets",
    metadata,
    Column("kind", Text, CheckConstraint("kind IN ('table', 'warehouse')"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    # What people have allowed beyond the limit that day.
    Column("extra", BigInteger, nullable=False, server_default="0"),
)

# What was told to people of a backfill or a breaker.
notifications = Table(
    "notifications",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("what", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

# By which pipeline file and version of the program all dates were last looked at: at most one row.
pipeline_versions = Table("pipeline_versions", metadata, Column("fingerprint", Text, primary_key=True))

# Kept by database triggers in the transaction of each change, so that no count grows with the dates.
date_counts = Table(
    "date_counts",
    metadata,
    Column("backfill_id", Integer, nullable=False),
    Column("season", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("waiting", Text, nullable=False),
    Column("n", Integer, nullable=False),
    UniqueConstraint("backfill_id", "season", "state", "outcome", "waiting"),
)

check_counts = Table(
    "check_counts",
    metadata,
    Column("processor", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("satisfied", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    UniqueConstraint("processor", "verdict", "satisfied"),
)

# Partial indexes serve only queries that state their condition literally, not as a parameter.
IS_RUNNING = attempts.c.status == literal_column("'running'")
ENDED_WELL = attempts.c.exit_code == literal_column("0")
IS_RUNNABLE = checks.c.runnable == literal_column("1")
IS_REGRESSED = dates.c.regressed != literal_column("''")
IS_STALE = dates.c.stale_at.is_not(None)
IS_REVALIDATED = text("outcome IN ('complete', 'bootstrap', 'waived')")
LAST_CHECKED_AT = literal_column("coalesce(swept_at, ended_at)", Double)
IS_UNSATISFIED = checks.c.satisfied == literal_column("0")
