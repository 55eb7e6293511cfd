"""The schema of the state database after the last migration.

Times are epoch seconds (UTC), dates are plain dates. Two scheduling rules are unique indexes, so that no bug
or second daemon can break them: one attempt at a time in a sequential phase, `writers` per output table.
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
    UniqueConstraint,
    text,
)

from backfilld.state.pipeline.phase import DONE, FAILED
from backfilld.state.store.schema_columns import BIG, count, flag, partial_index, text_column

metadata = MetaData()

HAS_OUTPUT = "rows > 0 OR last_attempt_ended_at IS NOT NULL OR attempt_id IS NOT NULL"


backfills = Table(
    "backfills",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("start", Date, nullable=False),
    Column("end", Date, nullable=False),
    Column("dates", Integer, nullable=False),
    Column("sources", Text, CheckConstraint("sources IN ('all', 'critical', 'none')"), nullable=False),
    flag("force"),
    count("priority"),
    Column("max_failures", Integer),
    text_column("note"),
    text_column("actor"),
    Column("created_at", Double, nullable=False),
    *(Column(name, Double) for name in ("paused_at", "cancelled_at", "stopped_at")),
    text_column("stop_reason"),
    # The processors that it lets run, as a JSON list. NULL: all, whichever the pipeline file has.
    Column("selection", Text),
    # How many dates had failed at the last resume: max_failures counts from there.
    count("failures_baseline"),
    Column("request_key", Text, unique=True),
    text_column("request_hash"),
)

dates = Table(
    "dates",
    metadata,
    Column("date", Date, primary_key=True),
    Column("state", Text, nullable=False),
    text_column("outcome"),
    text_column("reason"),
    # What a live date waits for: a WaitReason, and its sentence when that is fixed. Empty once it has ended.
    text_column("waiting"),
    text_column("waiting_text"),
    # When the engine evaluates the date again. NULL: only after an event.
    Column("due_at", Double),
    Column("backfill_id", ForeignKey("backfills.id"), nullable=False),
    count("priority"),
    text_column("season"),
    # Whether processors run although complete (force), accepted, or trusted to have no data (retry).
    Column("mode", Text, CheckConstraint("mode IN ('normal', 'retry', 'force')"), server_default="normal"),
    # When the date entered its state.
    Column("entered_at", Double, nullable=False),
    Column("ended_at", Double),
    count("version"),
    text_column("regressed"),  # why a done date is no longer complete
    Column("swept_at", Double),  # when an ended date was last checked
    # When an input of one of its outputs was repaired after that was computed.
    Column("stale_at", Double),
    # Whether what is stale of it runs again, and the dates that this makes stale after it.
    flag("cascades"),
    CheckConstraint(f"(state IN ('{DONE}', '{FAILED}')) = (outcome <> '')", name="outcome_is_final"),
    CheckConstraint(f"(state IN ('{DONE}', '{FAILED}')) = (ended_at IS NOT NULL)", name="end_is_final"),
    partial_index("dates_due", "due_at", text("priority DESC"), "date", where="due_at IS NOT NULL"),
    Index("dates_state", "state", "date"),
    Index("dates_waiting", "waiting", "date"),
    Index("dates_ended", "ended_at"),
    partial_index(
        "dates_last_checked",
        text("coalesce(swept_at, ended_at)"),
        where="outcome IN ('complete', 'bootstrap', 'waived', 'selected', 'not_expected')",
    ),
    partial_index("dates_regressed", "date", where="regressed <> ''"),
    partial_index("dates_stale", "date", where="stale_at IS NOT NULL"),
)

backfill_dates = Table(
    "backfill_dates",
    metadata,
    Column("backfill_id", ForeignKey("backfills.id"), primary_key=True),
    Column("date", Date, primary_key=True),
    # An EnqueueOutcome with its reason and verdict counts; state and outcome once the date has ended.
    Column("answer", Text, nullable=False),
    text_column("reason"),
    text_column("verdicts"),
    text_column("state"),
    text_column("outcome"),
    # Whether the backfill wants the date: until the date ends, or until it is cancelled for this backfill.
    flag("live"),
    # Whether the date is to be admitted for this request: a live date is, once what runs now has ended.
    flag("awaits_admission"),
    # The version of the date that it ended with, so that a retry returns it to those who wanted it then.
    Column("ended_version", Integer),
    partial_index("backfill_dates_live", "date", where="live = 1"),
    partial_index("backfill_dates_failed", "date", where=f"state = '{FAILED}'"),
    Index("backfill_dates_state", "backfill_id", "live", "state", "outcome"),
)

transitions = Table(
    "transitions",
    metadata,
    Column("date", ForeignKey("dates.date"), primary_key=True),
    Column("version", Integer, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("source", "target", "trigger")),
    *map(text_column, ("reason", "actor")),
    Column("at", Double, nullable=False),
    CheckConstraint("source <> target", name="state_changes"),
)

checks = Table(
    "checks",
    metadata,
    Column("date", Date, primary_key=True),
    Column("processor", Text, primary_key=True),
    # The table that verdict and attempts are about: neither counts for another one.
    text_column("output"),
    # The latest verdict, with the row count and the sentence it rests on, and when the query started.
    Column("verdict", Text, nullable=False, server_default="unknown"),
    flag("satisfied"),
    Column("rows", BIG),
    text_column("expected"),
    text_column("reason"),
    Column("asked_at", Double),
    # When to query; NULL: not at all. A request raises the generation, which outdates queries under way.
    Column("query_due_at", Double),
    count("generation"),
    # Attempts of this request, those that exited with 0, when the next may start, and a Runnable.
    count("attempt_count"),
    count("clean_attempts"),
    Column("retry_at", Double),
    Column("runnable", Integer, CheckConstraint("runnable IN (0, 1, 2)"), nullable=False, server_default="0"),
    count("priority"),
    text_column("mode"),
    Column("attempt_id", Integer),
    # The latest attempt of this daemon: run history where the history table has none.
    Column("last_attempt_started_at", Double),
    Column("last_attempt_ended_at", Double),
    flag("last_attempt_succeeded"),
    text_column("last_attempt_detail"),
    # Whether the circuit breaker counts it.
    flag("last_attempt_counts"),
    # The write stamp of the partition as last read, and as of the claim of the latest attempt.
    *(Column(name, Text) for name in ("write_stamp", "stamp_before")),
    # When the latest input of it was repaired after it was computed (`stale_causes`). NULL: none was.
    Column("stale_at", Double),
    # Why the date passes although the output is incomplete. waived_by: a fallback, the policy or an
    # operator, until the date is admitted again. accepted_*: an operator, until it is retried or forced.
    *map(text_column, ("waived_by", "waiver_reason", "accepted_by", "accepted_reason")),
    partial_index("checks_query_due", "query_due_at", "date", where="query_due_at IS NOT NULL"),
    partial_index("checks_runnable", "processor", text("priority DESC"), "date", where="runnable = 1"),
    partial_index("checks_awaiting_period", "processor", "date", where="runnable = 2"),
    partial_index("checks_unsatisfied", "processor", "date", where="satisfied = 0"),
    partial_index("checks_with_output", "processor", "date", where=HAS_OUTPUT),
    partial_index("checks_stale", "date", where="stale_at IS NOT NULL"),
)

stale_causes = Table(
    "stale_causes",
    metadata,
    # The stale output, and its input that was repaired at a time, or that was stale itself.
    *(Column(name, Date, primary_key=True) for name in ("date", "upstream_date")),
    *(Column(name, Text, primary_key=True) for name in ("processor", "upstream")),
    Column("at", Double, nullable=False),
    flag("was_stale"),
    Index("stale_causes_upstream", "upstream_date"),
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
    # The phase name in a sequential phase, else NULL.
    Column("sequence", Text),
    Column("status", Text, nullable=False),
    Column("handle", Text),
    Column("stopping", Text),
    Column("claimed_at", Double, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("exit_code", Integer),
    *map(text_column, ("detail", "tail")),
    Column("max_rss_bytes", BIG),
    Column("cpu_seconds", Double),
    CheckConstraint(
        "status IN ('running', 'exited', 'timed_out', 'idle', 'cancelled', 'lost')", name="status_is_known"
    ),
    # So that `exit_code = 0` alone says that an attempt ended well.
    CheckConstraint("exit_code IS NULL OR exit_code <> 0 OR status = 'exited'", name="code_0_has_exited"),
    CheckConstraint("status <> 'exited' OR exit_code IS NOT NULL", name="exited_has_a_code"),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="running_has_no_end"),
    partial_index(
        "one_attempt_per_sequential_phase",
        "sequence",
        where="status = 'running' AND sequence IS NOT NULL",
        unique=True,
    ),
    partial_index("one_writer_per_table", "output", "writer", where="status = 'running'", unique=True),
    Index("attempts_processor", "processor", "ended_at"),
    Index("attempts_ended", "ended_at"),
    sqlite_autoincrement=True,
)

attempt_dates = Table(
    "attempt_dates",
    metadata,
    Column("date", Date, primary_key=True),
    Column("attempt_id", ForeignKey("attempts.id"), primary_key=True),
    # The verdict that followed the attempt on this date, and its reason. NULL: none yet.
    *(Column(name, Text) for name in ("verdict", "verdict_reason")),
    flag("breaker_counted"),  # whether the circuit breaker has counted that verdict as an error
    Index("attempt_dates_attempt", "attempt_id"),
    partial_index("attempt_dates_verdict", "verdict", where="verdict <> 'complete'"),
)

# The latest run of each check command (`expect.check`), or the request for one.
check_runs = Table(
    "check_runs",
    metadata,
    Column("date", Date, primary_key=True),
    Column("processor", Text, primary_key=True),
    # A hash of the command, and of the output that it is about.
    Column("subject", Text, nullable=False),
    Column("requested_at", Double, nullable=False),
    *(Column(name, Double) for name in ("started_at", "ended_at")),
    Column("exit_code", Integer),
    text_column("detail"),
    # How many runs about the subject ended without a result since the last one that had one.
    count("failures"),
    partial_index("check_runs_open", "processor", "date", where="ended_at IS NULL"),
)

calendar_days = Table(
    "calendar_days",
    metadata,
    Column("date", Date, primary_key=True),
    # JSON by name: {"games": 5}. NULL where the calendar does not count.
    Column("counts", Text),
    Column("asked_at", Double, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column(
        "kind", Text, CheckConstraint("kind IN ('all', 'processor', 'table', 'warehouse')"), primary_key=True
    ),
    Column("key", Text, primary_key=True),
    text_column("reason"),
    text_column("actor"),
    Column("since", Double, nullable=False),
    Column("until", Double),
    flag("absolute"),  # `until` is a time such as midnight, which a clock step does not move
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
    # Who requested the change, from which address, in which HTTP request.
    Column("actor", Text, nullable=False),
    *map(text_column, ("address", "request_id")),
    # The change, with the object before and after as JSON. NULL: the object did not exist.
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    sqlite_autoincrement=True,
)

# Usage of each daily budget by quota day. The limits are in the pipeline file.
budgets = Table(
    "budgets",
    metadata,
    Column("kind", Text, CheckConstraint("kind IN ('table', 'warehouse')"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    # What an operator allowed beyond the limit of that day.
    Column("extra", BigInteger, nullable=False, server_default="0"),
)

# Webhook messages that were delivered, so that a restart sends none twice.
notifications = Table(
    "notifications",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

# The pipeline file and program version that all dates were last evaluated with: at most one row.
pipeline_versions = Table("pipeline_versions", metadata, Column("fingerprint", Text, primary_key=True))

# Maintained by triggers in the transaction of each change: reading a count costs the same for any history.
date_counts = Table(
    "date_counts",
    metadata,
    *(Column(name, Text, nullable=False) for name in ("season", "state", "outcome", "waiting")),
    Column("n", Integer, nullable=False),
    UniqueConstraint("season", "state", "outcome", "waiting"),
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
