"""Database triggers that keep the tallies: no code path can forget to count, and no count is a scan.

A check counts where its date was requested. Those of dates that exist only as upstream of others do not.
"""

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
    tally, columns = _COUNTED["checks"]
    added = _added(tally, columns, f"SELECT {', '.join(columns)}, 1 FROM checks WHERE date = NEW.date", 1)  # noqa: S608
    if dialect == "postgresql":
        body = f"LANGUAGE plpgsql AS $$ BEGIN {added} RETURN NULL; END $$"
        yield f"CREATE FUNCTION dates_requested() RETURNS trigger {body}"
        added = "FOR EACH ROW EXECUTE FUNCTION dates_requested()"
    else:
        added = f"BEGIN {added} END"
    yield f"CREATE TRIGGER dates_requested AFTER INSERT ON dates {added}"


def _count(tally: str, columns: tuple[str, ...], row: str, by: int) -> str:
    values = ", ".join(f"{row}.{column}" for column in columns)
    return _added(tally, columns, f"VALUES ({values}, {by})", by)


def _added(tally: str, columns: tuple[str, ...], rows: str, by: int) -> str:
    names = ", ".join(columns)
    return (
        f"INSERT INTO {tally} ({names}, n) {rows} ON CONFLICT ({names}) DO UPDATE SET n = {tally}.n + {by};"
    )


def _is_requested(table: str, rows: str) -> str:
    """A condition: the date of a row was requested."""
    return f"EXISTS (SELECT 1 FROM dates WHERE date IN ({rows}))" if table == "checks" else "1 = 1"  # noqa: S608


def _sqlite(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _count(tally, columns, "NEW", 1), _count(tally, columns, "OLD", -1)
    changed = " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)
    is_new, was_old = _is_requested(table, "NEW.date"), _is_requested(table, "OLD.date")
    yield f"CREATE TRIGGER {table}_counted AFTER INSERT ON {table} WHEN {is_new} BEGIN {add} END"
    yield f"CREATE TRIGGER {table}_uncounted AFTER DELETE ON {table} WHEN {was_old} BEGIN {drop} END"
    yield (
        f"CREATE TRIGGER {table}_recounted AFTER UPDATE OF {', '.join(columns)} ON {table}"
        f" WHEN ({changed}) AND {is_new} BEGIN {drop} {add} END"
    )


def _postgresql(table: str, tally: str, columns: tuple[str, ...]) -> Iterator[str]:
    add, drop = _count(tally, columns, "NEW", 1), _count(tally, columns, "OLD", -1)
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
