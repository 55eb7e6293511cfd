"""The first schema.

A copy, not an import, of what state/tables.py and state/store/triggers.py were then: a migration says for
ever what it does, whatever becomes of them.
"""

from alembic import op
from sqlalchemy import (
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

revision = "0001"
down_revision = None

metadata = MetaData()


def _flag(name: str) -> Column[int]:
    return Column(name, Integer, CheckConstraint(f"{name} IN (0, 1)"), nullable=False, server_default="0")


def _words(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default="")


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


backfills = Table(
    "backfills",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("start", Date, nullable=False),
    Column("end", Date, nullable=False),
    Column("dates", Integer, nullable=False),
    Column("scrapers", Text, CheckConstraint("scrapers IN ('all', 'critical', 'none')"), nullable=False),
    _flag("force"),
    _count("priority"),
    Column("max_failures", Integer),
    _words("note"),
    _words("actor"),
    Column("created_at", Double, nullable=False),
    Column("paused_at", Double),
    Column("cancelled_at", Double),
    Column("stopped_at", Double),
    _words("stop_reason"),
    _count("forgiven"),
    Column("request_key", Text, unique=True),
    _words("request_hash"),
)

dates = Table(
    "dates",
    metadata,
    Column("date", Date, primary_key=True),
    Column("state", Text, nullable=False),
    _words("outcome"),
    _words("reason"),
    _words("waiting"),
    _words("waiting_text"),
    Column("due_at", Double),
    Column("backfill_id", ForeignKey("backfills.id"), nullable=False),
    _count("priority"),
    _words("season"),
    Column("mode", Text, CheckConstraint("mode IN ('normal', 'insist', 'force')"), server_default="normal"),
    Column("entered_at", Double, nullable=False),
    Column("ended_at", Double),
    _count("version"),
    _words("regressed"),
    CheckConstraint("(state IN ('done', 'failed')) = (outcome <> '')", name="outcome_is_final"),
    CheckConstraint("(state IN ('done', 'failed')) = (ended_at IS NOT NULL)", name="end_is_final"),
    Index(
        "dates_due",
        "due_at",
        text("priority DESC"),
        "date",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
    Index("dates_state", "state", "date"),
    Index("dates_backfill", "backfill_id", "state"),
    Index("dates_waiting", "waiting", "date"),
    Index("dates_ended", "ended_at"),
)

backfill_dates = Table(
    "backfill_dates",
    metadata,
    Column("backfill_id", ForeignKey("backfills.id"), primary_key=True),
    Column("date", Date, primary_key=True),
    Column("answer", Text, nullable=False),
    _words("reason"),
    _words("state"),
    _words("outcome"),
)

transitions = Table(
    "transitions",
    metadata,
    Column("date", ForeignKey("dates.date"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("source", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    _words("reason"),
    _words("actor"),
    Column("at", Double, nullable=False),
    CheckConstraint("source <> target", name="moves"),
)

checks = Table(
    "checks",
    metadata,
    Column("date", Date, primary_key=True),
    Column("processor", Text, primary_key=True),
    Column("verdict", Text, nullable=False, server_default="unknown"),
    _flag("satisfied"),
    Column("rows", Integer),
    _words("expected"),
    _words("reason"),
    Column("asked_at", Double),
    Column("wanted_at", Double),
    _count("ticket"),
    _count("tries"),
    Column("retry_at", Double),
    _flag("runnable"),
    _count("priority"),
    _words("mode"),
    Column("attempt_id", Integer),
    Column("own_started_at", Double),
    Column("own_ended_at", Double),
    _flag("own_succeeded"),
    _words("own_detail"),
    _words("passed_by"),
    _words("gap"),
    _words("accepted_by"),
    _words("accepted_reason"),
    Index(
        "checks_wanted",
        "wanted_at",
        "date",
        sqlite_where=text("wanted_at IS NOT NULL"),
        postgresql_where=text("wanted_at IS NOT NULL"),
    ),
    Index(
        "checks_runnable",
        "processor",
        text("priority DESC"),
        "date",
        sqlite_where=text("runnable = 1"),
        postgresql_where=text("runnable = 1"),
    ),
    Index(
        "checks_holes",
        "processor",
        "date",
        sqlite_where=text("satisfied = 0"),
        postgresql_where=text("satisfied = 0"),
    ),
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
    _words("detail"),
    _words("tail"),
    Column("max_rss_bytes", Integer),
    Column("cpu_seconds", Double),
    CheckConstraint(
        "status IN ('running', 'succeeded', 'failed', 'timed_out', 'silent', 'cancelled', 'lost')",
        name="status_is_known",
    ),
    CheckConstraint("(status = 'running') = (ended_at IS NULL)", name="running_has_no_end"),
    Index(
        "one_attempt_per_sequential_phase",
        "sequence",
        unique=True,
        sqlite_where=text("status = 'running' AND sequence IS NOT NULL"),
        postgresql_where=text("status = 'running' AND sequence IS NOT NULL"),
    ),
    Index(
        "one_writer_per_table",
        "output",
        "writer",
        unique=True,
        sqlite_where=text("status = 'running'"),
        postgresql_where=text("status = 'running'"),
    ),
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

days = Table(
    "days",
    metadata,
    Column("date", Date, primary_key=True),
    Column("games", Integer),
    Column("asked_at", Double, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column(
        "kind", Text, CheckConstraint("kind IN ('all', 'processor', 'table', 'warehouse')"), primary_key=True
    ),
    Column("key", Text, primary_key=True),
    _words("reason"),
    _words("actor"),
    Column("since", Double, nullable=False),
    Column("until", Double),
)

streaks = Table(
    "streaks",
    metadata,
    Column("processor", Text, primary_key=True),
    Column("error", Text, nullable=False),
    Column("length", Integer, nullable=False),
)

date_tallies = Table(
    "date_tallies",
    metadata,
    Column("backfill_id", Integer, nullable=False),
    Column("season", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("waiting", Text, nullable=False),
    Column("n", Integer, nullable=False),
    UniqueConstraint("backfill_id", "season", "state", "outcome", "waiting"),
)

check_tallies = Table(
    "check_tallies",
    metadata,
    Column("processor", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("satisfied", Integer, nullable=False),
    Column("n", Integer, nullable=False),
    UniqueConstraint("processor", "verdict", "satisfied"),
)

TRIGGERS = {
    "sqlite": [
        "CREATE TRIGGER dates_counted AFTER INSERT ON dates BEGIN INSERT INTO date_tallies (backfill_id, "
        "season, state, outcome, waiting, n) VALUES (NEW.backfill_id, NEW.season, NEW.state, NEW.outcome,"
        " NEW.waiting, 1) ON CONFLICT (backfill_id, season, state, outcome, waiting) DO UPDATE SET n = "
        "date_tallies.n + 1; END",
        "CREATE TRIGGER dates_uncounted AFTER DELETE ON dates BEGIN INSERT INTO date_tallies "
        "(backfill_id, season, state, outcome, waiting, n) VALUES (OLD.backfill_id, OLD.season, "
        "OLD.state, OLD.outcome, OLD.waiting, -1) ON CONFLICT (backfill_id, season, state, outcome, "
        "waiting) DO UPDATE SET n = date_tallies.n + -1; END",
        "CREATE TRIGGER dates_recounted AFTER UPDATE OF backfill_id, season, state, outcome, waiting ON "
        "dates WHEN OLD.backfill_id <> NEW.backfill_id OR OLD.season <> NEW.season OR OLD.state <> "
        "NEW.state OR OLD.outcome <> NEW.outcome OR OLD.waiting <> NEW.waiting BEGIN INSERT INTO "
        "date_tallies (backfill_id, season, state, outcome, waiting, n) VALUES (OLD.backfill_id, "
        "OLD.season, OLD.state, OLD.outcome, OLD.waiting, -1) ON CONFLICT (backfill_id, season, state, "
        "outcome, waiting) DO UPDATE SET n = date_tallies.n + -1; INSERT INTO date_tallies (backfill_id, "
        "season, state, outcome, waiting, n) VALUES (NEW.backfill_id, NEW.season, NEW.state, NEW.outcome,"
        " NEW.waiting, 1) ON CONFLICT (backfill_id, season, state, outcome, waiting) DO UPDATE SET n = "
        "date_tallies.n + 1; END",
        "CREATE TRIGGER checks_counted AFTER INSERT ON checks BEGIN INSERT INTO check_tallies (processor,"
        " verdict, satisfied, n) VALUES (NEW.processor, NEW.verdict, NEW.satisfied, 1) ON CONFLICT "
        "(processor, verdict, satisfied) DO UPDATE SET n = check_tallies.n + 1; END",
        "CREATE TRIGGER checks_uncounted AFTER DELETE ON checks BEGIN INSERT INTO check_tallies "
        "(processor, verdict, satisfied, n) VALUES (OLD.processor, OLD.verdict, OLD.satisfied, -1) ON "
        "CONFLICT (processor, verdict, satisfied) DO UPDATE SET n = check_tallies.n + -1; END",
        "CREATE TRIGGER checks_recounted AFTER UPDATE OF processor, verdict, satisfied ON checks WHEN "
        "OLD.processor <> NEW.processor OR OLD.verdict <> NEW.verdict OR OLD.satisfied <> NEW.satisfied "
        "BEGIN INSERT INTO check_tallies (processor, verdict, satisfied, n) VALUES (OLD.processor, "
        "OLD.verdict, OLD.satisfied, -1) ON CONFLICT (processor, verdict, satisfied) DO UPDATE SET n = "
        "check_tallies.n + -1; INSERT INTO check_tallies (processor, verdict, satisfied, n) VALUES "
        "(NEW.processor, NEW.verdict, NEW.satisfied, 1) ON CONFLICT (processor, verdict, satisfied) DO "
        "UPDATE SET n = check_tallies.n + 1; END",
    ],
    "postgresql": [
        "CREATE FUNCTION dates_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP <> 'INSERT' "
        "THEN INSERT INTO date_tallies (backfill_id, season, state, outcome, waiting, n) VALUES "
        "(OLD.backfill_id, OLD.season, OLD.state, OLD.outcome, OLD.waiting, -1) ON CONFLICT (backfill_id,"
        " season, state, outcome, waiting) DO UPDATE SET n = date_tallies.n + -1; END IF; IF TG_OP <> "
        "'DELETE' THEN INSERT INTO date_tallies (backfill_id, season, state, outcome, waiting, n) VALUES "
        "(NEW.backfill_id, NEW.season, NEW.state, NEW.outcome, NEW.waiting, 1) ON CONFLICT (backfill_id, "
        "season, state, outcome, waiting) DO UPDATE SET n = date_tallies.n + 1; END IF; RETURN NULL; END "
        "$$",
        "CREATE TRIGGER dates_counted AFTER INSERT OR DELETE OR UPDATE ON dates FOR EACH ROW EXECUTE "
        "FUNCTION dates_count()",
        "CREATE FUNCTION checks_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP <> 'INSERT'"
        " THEN INSERT INTO check_tallies (processor, verdict, satisfied, n) VALUES (OLD.processor, "
        "OLD.verdict, OLD.satisfied, -1) ON CONFLICT (processor, verdict, satisfied) DO UPDATE SET n = "
        "check_tallies.n + -1; END IF; IF TG_OP <> 'DELETE' THEN INSERT INTO check_tallies (processor, "
        "verdict, satisfied, n) VALUES (NEW.processor, NEW.verdict, NEW.satisfied, 1) ON CONFLICT "
        "(processor, verdict, satisfied) DO UPDATE SET n = check_tallies.n + 1; END IF; RETURN NULL; END "
        "$$",
        "CREATE TRIGGER checks_counted AFTER INSERT OR DELETE OR UPDATE ON checks FOR EACH ROW EXECUTE "
        "FUNCTION checks_count()",
    ],
}


def upgrade() -> None:
    bind = op.get_bind()
    metadata.create_all(bind)
    for statement in TRIGGERS[bind.dialect.name]:
        op.execute(statement)
