"""The first schema of the second edition: a copy of what schema.py and triggers.py were then."""

from collections.abc import Iterator

from alembic import op
from sqlalchemy import BigInteger, CheckConstraint, Column, Date, Double, ForeignKey, Index, Integer, MetaData
from sqlalchemy import Table, Text, TextClause, UniqueConstraint, text

revision = "v2_0001"
down_revision = None

metadata = MetaData()

_BIG = Integer().with_variant(BigInteger(), "postgresql")


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, CheckConstraint(f"{name} IN (0, 1)"), nullable=False, server_default="0")


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _partial(name: str, *columns: str | TextClause, where: str, unique: bool = False) -> Index:
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
    *(Column(name, Double) for name in ("paused_at", "cancelled_at", "stopped_at")),
    _text("stop_reason"),
    Column("selection", Text),
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
    _text("waiting"),
    _text("waiting_text"),
    Column("due_at", Double),
    Column("backfill_id", ForeignKey("backfills.id"), nullable=False),
    _count("priority"),
    _text("season"),
    Column("mode", Text, CheckConstraint("mode IN ('normal', 'retry', 'force')"), server_default="normal"),
    Column("entered_at", Double, nullable=False),
    Column("ended_at", Double),
    _count("version"),
    _text("regressed"),
    Column("swept_at", Double),
    Column("stale_by", Date),
    _text("stale_upstream"),
    Column("stale_at", Double),
    _flag("cascades"),
    CheckConstraint("(state IN ('done', 'failed')) = (outcome <> '')", name="outcome_is_final"),
    CheckConstraint("(state IN ('done', 'failed')) = (ended_at IS NOT NULL)", name="end_is_final"),
    _partial("dates_due", "due_at", text("priority DESC"), "date", where="due_at IS NOT NULL"),
    Index("dates_state", "state", "date"),
    Index("dates_waiting", "waiting", "date"),
    Index("dates_ended", "ended_at"),
    _partial(
        "dates_last_checked",
        text("coalesce(swept_at, ended_at)"),
        where="outcome IN ('complete', 'bootstrap', 'waived', 'selected', 'not_expected')",
    ),
    _partial("dates_regressed", "date", where="regressed <> ''"),
    _partial("dates_stale", "date", where="stale_at IS NOT NULL"),
)

backfill_dates = Table(
    "backfill_dates",
    metadata,
    Column("backfill_id", ForeignKey("backfills.id"), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("answer", Text, nullable=False),
    _text("reason"),
    _text("verdicts"),
    _text("state"),
    _text("outcome"),
    *(_flag(name) for name in ("live", "awaits_admission")), Column("ended_version", Integer),
    _partial("backfill_dates_live", "date", where="live = 1"),
    Index("backfill_dates_state", "backfill_id", "live", "state", "outcome"),
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
    CheckConstraint("source <> target", name="state_changes"),
)

checks = Table(
    "checks",
    metadata,
    Column("date", Date, primary_key=True),
    Column("processor", Text, primary_key=True),
    _text("output"),
    Column("verdict", Text, nullable=False, server_default="unknown"),
    _flag("satisfied"),
    Column("rows", _BIG),
    _text("expected"),
    _text("reason"),
    Column("asked_at", Double),
    Column("query_due_at", Double),
    _count("generation"),
    _count("attempt_count"),
    _count("clean_attempts"),
    Column("retry_at", Double),
    _flag("runnable"),
    _count("priority"),
    _text("mode"),
    Column("attempt_id", Integer),
    Column("last_attempt_started_at", Double),
    Column("last_attempt_ended_at", Double),
    _flag("last_attempt_succeeded"),
    _text("last_attempt_detail"),
    *(Column(name, Text) for name in ("write_stamp", "stamp_before")),
    Column("stale_at", Double),
    _text("waived_by"),
    _text("waiver_reason"),
    _text("accepted_by"),
    _text("accepted_reason"),
    _partial("checks_query_due", "query_due_at", "date", where="query_due_at IS NOT NULL"),
    _partial("checks_runnable", "processor", text("priority DESC"), "date", where="runnable = 1"),
    _partial("checks_unsatisfied", "processor", "date", where="satisfied = 0"),
    _partial("checks_with_output", "processor", "date", where="rows > 0 OR last_attempt_ended_at IS NOT NULL OR attempt_id IS NOT NULL"),
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
    *(Column(name, Text) for name in ("verdict", "verdict_reason")),
    Index("attempt_dates_attempt", "attempt_id"),
    _partial("attempt_dates_verdict", "verdict", where="verdict <> 'complete'"),
)

calendar_days = Table(
    "calendar_days",
    metadata,
    Column("date", Date, primary_key=True),
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
    _text("reason"),
    _text("actor"),
    Column("since", Double, nullable=False),
    Column("until", Double),
    _flag("absolute"),
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
    Column("actor", Text, nullable=False),
    _text("address"),
    _text("request_id"),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("before", Text),
    Column("after", Text),
    sqlite_autoincrement=True,
)

budgets = Table(
    "budgets",
    metadata,
    Column("kind", Text, CheckConstraint("kind IN ('table', 'warehouse')"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    Column("extra", BigInteger, nullable=False, server_default="0"),
)

notifications = Table(
    "notifications",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("at", Double, nullable=False),
)

pipeline_versions = Table("pipeline_versions", metadata, Column("fingerprint", Text, primary_key=True))

date_counts = Table(
    "date_counts",
    metadata,
    Column("season", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("waiting", Text, nullable=False),
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


_COUNTED = {
    "dates": ("date_counts", ("season", "state", "outcome", "waiting")),
    "checks": ("check_counts", ("processor", "verdict", "satisfied")),
}


def _triggers(dialect: str) -> Iterator[str]:
    for table, (tally, columns) in _COUNTED.items():
        yield from (_sqlite if dialect == "sqlite" else _postgresql)(table, tally, columns)


def _add(tally: str, columns: tuple[str, ...], row: str, by: int) -> str:
    names = ", ".join(columns)
    values = ", ".join(f"{row}.{column}" for column in columns)
    added = f"INSERT INTO {tally} ({names}, n) VALUES ({values}, {by})"
    return f"{added} ON CONFLICT ({names}) DO UPDATE SET n = {tally}.n + {by};"


def _sqlite(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _add(tally, columns, "NEW", 1), _add(tally, columns, "OLD", -1)
    changed = " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)
    yield f"CREATE TRIGGER {table}_counted AFTER INSERT ON {table} BEGIN {add} END"
    yield f"CREATE TRIGGER {table}_uncounted AFTER DELETE ON {table} BEGIN {drop} END"
    yield (
        f"CREATE TRIGGER {table}_recounted AFTER UPDATE OF {', '.join(columns)} ON {table}"
        f" WHEN {changed} BEGIN {drop} {add} END"
    )


def _postgresql(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _add(tally, columns, "NEW", 1), _add(tally, columns, "OLD", -1)
    yield (
        f"CREATE FUNCTION {table}_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP <> 'INSERT' THEN {drop} END IF; IF TG_OP <> 'DELETE' THEN {add} END IF;"
        " RETURN NULL; END $$"
    )
    yield (
        f"CREATE TRIGGER {table}_counted AFTER INSERT OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_count()"
    )
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    yield (
        f"CREATE TRIGGER {table}_recounted AFTER UPDATE OF {', '.join(columns)} ON {table} FOR EACH ROW"
        f" WHEN (({old}) IS DISTINCT FROM ({new})) EXECUTE FUNCTION {table}_count()"
    )


def upgrade() -> None:
    bind = op.get_bind()
    metadata.create_all(bind)
    for statement in _triggers(bind.dialect.name):
        op.execute(statement)
