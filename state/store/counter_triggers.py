"""Database triggers that keep the tallies: no code path can forget to count, and no count is a scan."""

from __future__ import annotations

from collections.abc import Iterator

_COUNTED = {
    "dates": ("date_counts", ("season", "state", "outcome", "waiting")),
    "checks": ("check_counts", ("processor", "verdict", "satisfied")),
}


def statements(dialect: str) -> Iterator[str]:
    """The DDL that creates all triggers, for `sqlite` or `postgresql`."""
    for table, (tally, columns) in _COUNTED.items():
        if dialect == "sqlite":
            yield from _sqlite(table, tally, columns)
        else:
            yield from _postgresql(table, tally, columns)


def _count(tally: str, columns: tuple[str, ...], row: str, by: int) -> str:
    names = ", ".join(columns)
    values = ", ".join(f"{row}.{column}" for column in columns)
    added = f"INSERT INTO {tally} ({names}, n) VALUES ({values}, {by})"  # noqa: S608 - only names of this file
    return f"{added} ON CONFLICT ({names}) DO UPDATE SET n = {tally}.n + {by};"


def _sqlite(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _count(tally, columns, "NEW", 1), _count(tally, columns, "OLD", -1)
    changed = " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)
    yield f"CREATE TRIGGER {table}_counted AFTER INSERT ON {table} BEGIN {add} END"
    yield f"CREATE TRIGGER {table}_uncounted AFTER DELETE ON {table} BEGIN {drop} END"
    yield (
        f"CREATE TRIGGER {table}_recounted AFTER UPDATE OF {', '.join(columns)} ON {table}"
        f" WHEN {changed} BEGIN {drop} {add} END"
    )


def _postgresql(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _count(tally, columns, "NEW", 1), _count(tally, columns, "OLD", -1)
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
