"""What is particular to PostgreSQL as a warehouse: its limits, its sessions, its stamps and its preflight."""

import datetime as dt
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backfilld.daemon.preflight.checklist import preflight
from backfilld.daemon.preflight.findings import Preflight
from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.postgresql import connections
from backfilld.daemon.warehouses.postgresql.row_security import REMEDY
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.evidence import UNTIL_CORRECTED, Evidence
from tests.conformance.builders import NEXT, box, rows, stamps
from tests.factories import phase, processor
from tests.integration.postgresql_house import PostgresqlHouse
from tests.integration.warehouses import DAY, HISTORY, entry

SLEEPS = {"quality": {"where": "pg_sleep(60) IS NULL"}}


@pytest.fixture
def house(postgresql_house: PostgresqlHouse) -> PostgresqlHouse:
    """A database with a table of two rows."""
    postgresql_house.put("nba.box", rows(2))
    return postgresql_house


def evidence(house: PostgresqlHouse, *phases: Any, **warehouse: Any) -> dict[str, Evidence]:
    """The evidence of each processor for DAY, without a run history."""
    opened = house.open(*phases, warehouse=warehouse, history=None)
    wanted = {name: [DAY] for name in house.pipeline(*phases).processors}
    return {name: found for (name, _), found in opened.evidence(wanted, purpose="gate").items()}


def twins(**first: Any) -> dict[str, Any]:
    """Two processors, of which the first has rules."""
    names = (("box", first), ("other", {}))
    return phase("raw", *(processor(name, date_column="game_date", expect=rule) for name, rule in names))


def test_sql_of_the_file_cannot_write(house: PostgresqlHouse) -> None:
    deletes = (
        "WITH d AS (DELETE FROM nba.box RETURNING game_date) SELECT game_date AS date, 1 AS games FROM d"
    )
    house.run("CREATE SEQUENCE nba.numbers")
    counts = "SELECT @start::date AS date, nextval('nba.numbers') AS games"
    with pytest.raises(WarehouseError, match=r"calendar\.query was refused: .* read-only"):
        house.open(box(), calendar={"query": counts}).counts(DAY, DAY)
    # Other statements are refused before the warehouse is queried
    with pytest.raises(PipelineError, match=r"calendar\.query: is no query: it has a DELETE"):
        house.open(box(), calendar={"query": deletes})
    with pytest.raises(PipelineError, match=r"calendar\.query: has a semicolon"):
        house.open(box(), calendar={"query": f"{deletes}; COMMIT; DELETE FROM nba.box"})
    assert house.run("SELECT count(*) FROM nba.box") == [(2,)]


def test_a_calendar_with_two_counts_of_one_name_is_refused(house: PostgresqlHouse) -> None:
    query = "SELECT DATE '2024-03-01' AS date, 1 AS games, 2 AS games"
    warehouse = house.open(phase("raw", processor("box")), calendar={"query": query})
    with pytest.raises(WarehouseError, match="it gives the column games twice; name each column once"):
        warehouse.counts(DAY, DAY)


def test_a_sum_of_the_calendar_is_a_count(house: PostgresqlHouse) -> None:
    query = (
        "SELECT game_date AS date, SUM(2::bigint) AS games FROM nba.box WHERE game_date = @start GROUP BY 1"
    )
    assert house.open(box(), calendar={"query": query}).counts(DAY, DAY) == {DAY: {"games": 4}}


def test_a_query_beyond_its_time_is_ended_on_the_server_and_others_are_answered(
    house: PostgresqlHouse,
) -> None:
    house.put("nba.other", rows(3))
    answers = evidence(house, twins(**SLEEPS), query_timeout="1s")
    assert answers["box"].error == "nba.box: PostgreSQL did not answer within 1 s, or was cancelled"
    assert answers["other"].rows == 3
    active = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60) IS%'"
    assert house.run(f"{active} AND pid <> pg_backend_pid()") == [(0,)]


def test_a_table_that_a_job_locks_is_an_error_of_its_own(house: PostgresqlHouse) -> None:
    house.put("nba.other", rows(3))
    with psycopg.connect(house.url) as job:
        job.execute("TRUNCATE nba.box")  # a lock that only the end of its transaction releases
        answers = evidence(house, twins(), query_timeout="1s")
    assert answers["box"].error == "nba.box: another session locks the table; it is queried again later"
    assert answers["other"].rows == 3


def test_sessions_that_the_server_ended_are_replaced(house: PostgresqlHouse) -> None:
    warehouse = house.open(box(), history=None)
    ours = "FROM pg_stat_activity WHERE application_name = 'backfilld'"
    for _ in range(2):
        assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows == 2
        assert house.run(f"SELECT pg_terminate_backend(pid, 10000) {ours}") == [(True,)]
    assert house.errors == 0


def test_a_session_that_hangs_is_given_up_and_replaced(
    house: PostgresqlHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "GRACE", 0.0)
    warehouse = house.open(box(), history=None, warehouse={"query_timeout": "1s"})
    assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows == 2
    ((session,),) = house.run("SELECT pid FROM pg_stat_activity WHERE application_name = 'backfilld'")
    os.kill(session, signal.SIGSTOP)
    try:
        assert warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY].rows == 2
    finally:
        os.kill(session, signal.SIGCONT)


def test_many_threads_share_a_few_sessions(house: PostgresqlHouse) -> None:
    warehouse = house.open(box(), history=None, warehouse={"connections": 2})
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: warehouse.evidence({"box": [DAY]}, purpose="gate"), range(16))
        assert [found["box", DAY].rows for found in answers] == [2] * 16
    sessions = house.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'backfilld'")
    assert sessions[0][0] in (1, 2)


def test_a_database_that_is_not_there_is_named_and_no_password_is(
    house: PostgresqlHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = house.url.replace("postgres@", "postgres:geheim@").replace("/state", "/nowhere")
    monkeypatch.setenv("NBA_URL", url)
    warehouse = house.open(box(), history=None, warehouse={"url": None, "url_env": "NBA_URL"})
    with pytest.raises(WarehouseError, match=r'database "nowhere\d+" does not exist') as raised:
        warehouse.evidence({"box": [DAY]}, purpose="gate")
    assert "geheim" not in str(raised.value)


def test_the_stamp_tells_writes_from_everything_else(house: PostgresqlHouse) -> None:
    house.put("nba.box", rows(1, date=NEXT))
    house.run("CREATE UNIQUE INDEX ON nba.box (game_date, game_id)")
    before = stamps(house)
    # Given what writes no row
    house.run("VACUUM FULL nba.box")
    house.run("ANALYZE nba.box")
    house.run("SELECT * FROM nba.box FOR UPDATE")
    house.run(f"INSERT INTO nba.box VALUES ('{DAY}', 'g0') ON CONFLICT DO NOTHING")
    assert stamps(house) == before
    # Then each write shows, on its date alone
    for write in (
        f"INSERT INTO nba.box VALUES ('{DAY}', 'g0')"
        " ON CONFLICT (game_date, game_id) DO UPDATE SET game_id = 'g0'",
        f"DELETE FROM nba.box WHERE game_date = '{DAY}' AND game_id = 'g1'",
        f"DELETE FROM nba.box WHERE game_date = '{DAY}'",
        f"INSERT INTO nba.box VALUES ('{DAY}', 'g0')",
    ):
        house.run(write)
        after = stamps(house)
        assert after[DAY] != before[DAY], write
        assert after[NEXT] == before[NEXT]
        before = after


def test_a_view_has_no_stamp_and_a_partitioned_table_has(
    house: PostgresqlHouse, caplog: pytest.LogCaptureFixture
) -> None:
    house.run("ALTER TABLE nba.box RENAME TO kept; CREATE VIEW nba.box AS SELECT * FROM nba.kept")
    with caplog.at_level(logging.WARNING):
        assert stamps(house) == {DAY: None, NEXT: None}
    house.run(
        "DROP VIEW nba.box;"
        " CREATE TABLE nba.box (game_date DATE, game_id TEXT) PARTITION BY RANGE (game_date)"
    )
    house.run(f"CREATE TABLE nba.box_1 PARTITION OF nba.box FOR VALUES FROM ('{DAY}') TO ('{NEXT}')")
    before = stamps(house)
    house.run(f"INSERT INTO nba.box VALUES ('{DAY}', 'g')")
    assert (stamps(house)[DAY] == before[DAY], stamps(house)[NEXT] == before[NEXT]) == (False, True)
    assert caplog.records == []


def test_days_of_times_have_no_stamp(house: PostgresqlHouse) -> None:
    house.run("CREATE TABLE nba.events (made_at TIMESTAMP, seen_at TIMESTAMPTZ)")
    for column, zone in (("made_at", "UTC"), ("seen_at", "UTC"), ("seen_at", "America/New_York")):
        events = processor("events", date_column=column, date_timezone=zone)
        wanted = {"events": [DAY]}
        opened = house.open(phase("raw", events), history=None)
        found = opened.evidence(wanted, purpose="gate", stamps=wanted)["events", DAY]
        assert (found.error, found.write_stamp) == ("", None)


def test_times_of_the_history_may_be_texts_and_one_that_is_none_is_no_time(house: PostgresqlHouse) -> None:
    house.put("nba.box", rows(1, date=NEXT))
    runs = [
        {**entry("box", "r1", "failed"), "started_at": "2025-12-01 09:00:00", "processed_at": "infinity"},
        {**entry("box", "r2", "running"), "started_at": "yesterday at noon", "processed_at": None},
    ]
    house.put(HISTORY, runs, by="data_date", types={"processed_at": "STRING"})
    found = house.open(box()).evidence({"box": [DAY + dt.timedelta(0)]}, purpose="gate")["box", DAY]
    assert found.closed is not None
    assert found.closed.started_at == dt.datetime(2025, 12, 1, 9, tzinfo=dt.UTC).timestamp()
    assert found.open is not None
    assert found.open.started_at == 0.0


def checked(house: PostgresqlHouse, tmp_path: Path, url: str, **keys: str) -> Preflight:
    """The preflight of a pipeline of one processor."""
    stated = {"name": "box", "table": "nba.box", "date_column": "game_date", **keys}
    lines = "\n".join(f'{key} = "{value}"' for key, value in stated.items())
    path = tmp_path / "pipeline.toml"
    path.write_text(
        f'name = "nba"\n[warehouse]\nkind = "postgresql"\nurl = "{url}"\n[[phase]]\nname = "raw"\n'
        f'[[phase.processor]]\n{lines}\ncommand = ["true", "{{date}}"]\n'
    )
    return preflight(
        path, now=dt.datetime(2025, 12, 1, tzinfo=dt.UTC).timestamp(), start=DAY, end=DAY, quick=True
    )


def lines_of(results: Preflight, check: str) -> list[str]:
    """The lines of one check."""
    return [f.line for result in results.results if result.check == check for f in result.findings]


def test_preflight_names_spelling_and_missing_indexes(house: PostgresqlHouse, tmp_path: Path) -> None:
    house.run(
        "INSERT INTO nba.box SELECT '2021-10-27', n::text FROM generate_series(1, 100000) AS n;"
        " ANALYZE nba.box"
    )
    results = checked(house, tmp_path, house.url, date_column="Game_Date")
    assert lines_of(results, "spelling") == ["nba.box has the column game_date, not Game_Date"]
    (line,) = lines_of(checked(house, tmp_path, house.url), "indexes")
    assert line == "nba.box has about 100,002 rows, all of which a query about one date reads"
    house.run("CREATE INDEX ON nba.box (game_date, game_id)")
    assert lines_of(checked(house, tmp_path, house.url), "indexes") == [
        "no table of 100,000 rows or more lacks an index on its dates"
    ]


def test_preflight_names_a_table_that_may_not_be_read(house: PostgresqlHouse, tmp_path: Path) -> None:
    house.run("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
    reader = house.url.replace("postgres@", "reader@")
    lines = lines_of(checked(house, tmp_path, reader), "tables")
    assert lines[0] == "table nba.box: permission denied for nba.box; grant SELECT"
    (found,) = (
        house.open(box(), history=None, warehouse={"url": reader})
        .evidence({"box": [DAY]}, purpose="gate")
        .values()
    )
    assert found.error == (
        "nba.box: permission denied for schema nba; grant USAGE on its schema and SELECT on the table to the"
        f" daemon's role; {UNTIL_CORRECTED}"
    )
    # Then a grant of its column is enough
    house.run("GRANT USAGE ON SCHEMA nba TO reader; GRANT SELECT (game_date) ON nba.box TO reader")
    assert lines_of(checked(house, tmp_path, reader), "tables") == ["1 of 1 tables are there"]


def test_rows_that_policies_hide_are_named_in_preflight_and_on_each_date(
    house: PostgresqlHouse, tmp_path: Path
) -> None:
    house.run("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA nba TO reader")
    house.run("GRANT SELECT ON nba.box TO reader; ALTER TABLE nba.box ENABLE ROW LEVEL SECURITY")
    reader = house.url.replace("postgres@", "reader@")
    warehouse = house.open(box(), history=None, warehouse={"url": reader})

    def seen() -> tuple[int, str]:
        found = warehouse.evidence({"box": [DAY]}, purpose="gate")["box", DAY]
        return found.rows, found.unread

    # Then without a policy all rows are hidden, which fails
    hidden = "row-level security hides all rows of nba.box from the role reader, for which it has no policy"
    assert seen() == (0, f"{hidden}; {REMEDY}")
    assert lines_of(checked(house, tmp_path, reader), "row_security") == [hidden]
    # And with one some may be, which is a warning
    house.run("CREATE POLICY few ON nba.box FOR SELECT TO reader USING (false)")
    some = "row-level security of nba.box may hide rows from the role reader"
    assert seen() == (0, f"{some}; {REMEDY}")
    assert lines_of(checked(house, tmp_path, reader), "row_security") == [some]
    # And the owner sees all, as the role does with a policy for it
    house.run("CREATE POLICY whole ON nba.box FOR SELECT USING (true)")
    assert seen() == (2, "")
    everything = ["no table hides rows from the daemon's role"]
    assert lines_of(checked(house, tmp_path, house.url), "row_security") == everything
