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


def _required(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


def _partial(name: str, *columns: str | TextClause, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


backfills = Table(
    "backfills",
    metadata,
    Column("id", Integer, primary_key=True),
    *(Column(name, Date, nullable=False) for name in ("start", "end")),
    Column("dates", Integer, nullable=False),
    Column("sources", Text, CheckConstraint("sources IN ('all', 'critical', 'none')"), nullable=False),
    _flag("force"),
    _count("priority"),
    Column("max_failures", Integer),
    *map(_text, ("note", "actor")),
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
    *map(_text, ("outcome", "reason", "waiting", "waiting_text")),
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
    Column("stale_at", Double),
    _flag("cascades"),
    CheckConstraint("(state IN ('done', 'failed')) = (outcome <> '')", name="outcome_is_final"),
    CheckConstraint("(state IN ('done', 'failed')) = (ended_at IS NOT NULL)", name="end_is_final"),
    _partial("dates_due", "due_at", text("priority DESC"), "date", where="due_at IS NOT NULL"),
    *(Index(f"dates_{name}", name, "date") for name in ("state", "waiting")), Index("dates_ended", "ended_at"),
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
    *map(_text, ("reason", "verdicts", "state", "outcome")),
    *(_flag(name) for name in ("live", "awaits_admission")), Column("ended_version", Integer),
    _partial("backfill_dates_live", "date", where="live = 1"),
    _partial("backfill_dates_failed", "date", where="state = 'failed'"),
    Index("backfill_dates_state", "backfill_id", "live", "state", "outcome"),
)

transitions = Table(
    "transitions",
    metadata,
    Column("date", ForeignKey("dates.date"), primary_key=True),
    Column("version", Integer, primary_key=True),
    *map(_required, ("source", "target", "trigger")),
    *map(_text, ("reason", "actor")),
    Column("at", Double, nullable=False),
    CheckConstraint("source <> target", name="state_changes"),
)

checks = Table(
    "checks",
    metadata,
    Column("date", Date, primary_key=True), Column("processor", Text, primary_key=True),
    _text("output"),
    Column("verdict", Text, nullable=False, server_default="unknown"),
    _flag("satisfied"),
    Column("rows", _BIG),
    *map(_text, ("expected", "reason")),
    *(Column(name, Double) for name in ("asked_at", "query_due_at")),
    *map(_count, ("generation", "attempt_count", "clean_attempts")),
    Column("retry_at", Double),
    Column("runnable", Integer, CheckConstraint("runnable IN (0, 1, 2)"), nullable=False, server_default="0"),
    _count("priority"),
    _text("mode"),
    Column("attempt_id", Integer),
    *(Column(name, Double) for name in ("last_attempt_started_at", "last_attempt_ended_at")),
    _flag("last_attempt_succeeded"),
    _text("last_attempt_detail"),
    *(Column(name, Text) for name in ("write_stamp", "stamp_before")),
    Column("stale_at", Double), *map(_text, ("waived_by", "waiver_reason", "accepted_by", "accepted_reason")),
    _partial("checks_query_due", "query_due_at", "date", where="query_due_at IS NOT NULL"),
    _partial("checks_runnable", "processor", text("priority DESC"), "date", where="runnable = 1"),
    _partial("checks_awaiting_period", "processor", "date", where="runnable = 2"),
    _partial("checks_unsatisfied", "processor", "date", where="satisfied = 0"),
    _partial("checks_with_output", "processor", "date", where="rows > 0 OR last_attempt_ended_at IS NOT NULL OR attempt_id IS NOT NULL"),
    _partial("checks_stale", "date", where="stale_at IS NOT NULL"),
)

stale_causes = Table(
    "stale_causes",
    metadata,
    *(Column(name, Date, primary_key=True) for name in ("date", "upstream_date")),
    *(Column(name, Text, primary_key=True) for name in ("processor", "upstream")),
    *(Column("at", Double, nullable=False), _flag("was_stale")),
    Index("stale_causes_upstream", "upstream_date"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("date", Date, nullable=False),
    *map(_required, ("processor", "phase")),
    Column("backfill_id", ForeignKey("backfills.id"), nullable=False),
    *map(_required, ("executor", "output")),
    Column("writer", Integer, nullable=False),
    Column("sequence", Text),
    Column("status", Text, nullable=False),
    *(Column(name, Text) for name in ("handle", "stopping")),
    *(Column(name, Double, nullable=False) for name in ("claimed_at", "started_at")),
    Column("ended_at", Double),
    Column("exit_code", Integer),
    *map(_text, ("detail", "tail")),
    Column("max_rss_bytes", _BIG),
    Column("cpu_seconds", Double),
    CheckConstraint(
        "status IN ('running', 'exited', 'timed_out', 'idle', 'cancelled', 'lost')", name="status_is_known"
    ),
    CheckConstraint("exit_code IS NULL OR exit_code <> 0 OR status = 'exited'", name="code_0_has_exited"),
    CheckConstraint("status <> 'exited' OR exit_code IS NOT NULL", name="exited_has_a_code"),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="running_has_no_end"),
    _partial("one_attempt_per_sequential_phase", "sequence", where="status = 'running' AND sequence IS NOT NULL", unique=True),
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

check_runs = Table(
    "check_runs",
    metadata,
    Column("date", Date, primary_key=True), Column("processor", Text, primary_key=True),
    _required("subject"),
    Column("requested_at", Double, nullable=False),
    *(Column(name, Double) for name in ("started_at", "ended_at")),
    Column("exit_code", Integer), _text("detail"), _count("failures"),
    _partial("check_runs_open", "processor", "date", where="ended_at IS NULL"),
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
    *map(_text, ("reason", "actor")),
    Column("since", Double, nullable=False), Column("until", Double), _flag("absolute"),
)

breaker_counts = Table(
    "breaker_counts",
    metadata,
    Column("processor", Text, primary_key=True), _required("error"), Column("length", Integer, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    *map(_text, ("address", "request_id")),
    *map(_required, ("action", "target")),
    *(Column(name, Text) for name in ("before", "after")),
    sqlite_autoincrement=True,
)

budgets = Table(
    "budgets",
    metadata,
    Column("kind", Text, CheckConstraint("kind IN ('table', 'warehouse')"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in ("spent", "extra")),
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
    *map(_required, ("season", "state", "outcome", "waiting")),
    Column("n", Integer, nullable=False),
    UniqueConstraint("season", "state", "outcome", "waiting"),
)

check_counts = Table(
    "check_counts",
    metadata,
    *map(_required, ("processor", "verdict")),
    *(Column(name, Integer, nullable=False) for name in ("satisfied", "n")),
    UniqueConstraint("processor", "verdict", "satisfied"),
)


_COUNTED = {
    "dates": ("date_counts", ("season", "state", "outcome", "waiting")),
    "checks": ("check_counts", ("processor", "verdict", "satisfied")),
}


def _triggers(dialect: str) -> Iterator[str]:
    for table, (tally, columns) in _COUNTED.items():
        if dialect == "sqlite":
            yield from _sqlite(table, tally, columns)
        else:
            yield from _postgresql(table, tally, columns)
    tally, columns = _COUNTED["checks"]
    added = _added(tally, columns, f"SELECT {', '.join(columns)}, 1 FROM checks WHERE date = NEW.date", 1)
    if dialect == "postgresql":
        body = f"LANGUAGE plpgsql AS $$ BEGIN {added} RETURN NULL; END $$"
        yield f"CREATE FUNCTION dates_requested() RETURNS trigger {body}"
        added = "FOR EACH ROW EXECUTE FUNCTION dates_requested()"
    else:
        added = f"BEGIN {added} END"
    yield f"CREATE TRIGGER dates_requested AFTER INSERT ON dates {added}"


def _tally(tally: str, columns: tuple[str, ...], row: str, by: int) -> str:
    values = ", ".join(f"{row}.{column}" for column in columns)
    return _added(tally, columns, f"VALUES ({values}, {by})", by)


def _added(tally: str, columns: tuple[str, ...], rows: str, by: int) -> str:
    names = ", ".join(columns)
    return (
        f"INSERT INTO {tally} ({names}, n) {rows} ON CONFLICT ({names}) DO UPDATE SET n = {tally}.n + {by};"
    )


def _is_requested(table: str, rows: str) -> str:
    return f"EXISTS (SELECT 1 FROM dates WHERE date IN ({rows}))" if table == "checks" else "1 = 1"


def _sqlite(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _tally(tally, columns, "NEW", 1), _tally(tally, columns, "OLD", -1)
    changed = " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)
    is_new, was_old = _is_requested(table, "NEW.date"), _is_requested(table, "OLD.date")
    yield f"CREATE TRIGGER {table}_counted AFTER INSERT ON {table} WHEN {is_new} BEGIN {add} END"
    yield f"CREATE TRIGGER {table}_uncounted AFTER DELETE ON {table} WHEN {was_old} BEGIN {drop} END"
    yield (
        f"CREATE TRIGGER {table}_recounted AFTER UPDATE OF {', '.join(columns)} ON {table}"
        f" WHEN ({changed}) AND {is_new} BEGIN {drop} {add} END"
    )


def _postgresql(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _tally(tally, columns, "NEW", 1), _tally(tally, columns, "OLD", -1)
    yield (
        f"CREATE FUNCTION {table}_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NOT {_is_requested(table, 'OLD.date, NEW.date')} THEN RETURN NULL; END IF;"
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
