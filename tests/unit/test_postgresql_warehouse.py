"""PostgreSQL as a warehouse, without a server: its SQL, its settings, and that no password is shown."""

import datetime as dt
from typing import Any

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.daemon.warehouses.postgresql.sql_compiler import text_of
from backfilld.daemon.warehouses.sql import evidence_queries, run_history
from backfilld.daemon.warehouses.sql.evidence_queries import Query, Select, Statement
from backfilld.daemon.warehouses.sql.fragment_embedding import user_sql
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.run_history_settings import HistorySettings
from tests.factories import phase, pipeline, processor
from tests.missing_packages import missing

DAY = dt.date(2021, 10, 26)
SECRET = "geheim"


def rendered(**expect: Any) -> str:
    """The query of one table."""
    raw = phase("raw", processor("box", date_column="game_date", expect=expect))
    warehouse = {"kind": "postgresql", "url": "postgresql://reader@db/platform"}
    box = pipeline(raw, warehouse=warehouse).processors
    return text_of(evidence_queries.evidence(evidence_queries.table_queries(box, {"box": [DAY]})))


def calendar(text: str) -> str:
    """SQL of the pipeline file as it is sent."""
    query = Query(selects=(Select(statement=Statement(user_sql(text))),), params={"start": DAY, "end": DAY})
    return text_of(query)


def test_dates_are_parameters_and_tables_are_quoted() -> None:
    assert rendered() == (
        "SELECT 'box' AS processor, \"game_date\" AS date, COUNT(*) AS n,"
        " CAST(ARRAY[] AS BIGINT[]) AS figures"
        ' FROM "nba"."box" WHERE "game_date" BETWEEN %(start0)s AND %(end0)s GROUP BY 2'
    )


def test_sql_of_the_file_is_sent_as_it_was_written_but_for_its_parameters() -> None:
    text = "SELECT d::date AS date, 'a%' LIKE '@start' AS x FROM t WHERE d >= @start AND d <@ r -- @end"
    assert calendar(text) % {"start": "$1"} == text.replace(">= @start", ">= $1")


@pytest.mark.parametrize("where", ["name LIKE 'a%'", "tags @> '{x}'", "a ~ '^b' AND data ? 'k'", "n % 2 = 1"])
def test_predicates_of_the_file_keep_their_operators(where: str) -> None:
    assert where in rendered(quality={"where": where}) % {"start0": "$1", "end0": "$2"}


def test_no_cast_can_fail_on_a_value_of_a_column() -> None:
    text = text_of(run_history.runs_query(HistorySettings(table="ops.runs"), ["box"], [DAY]))
    assert "TRY_CAST" not in text
    assert text.count("AS TIMESTAMPTZ) END") == 2


def mistakes(**warehouse: Any) -> str:
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box")), warehouse={"kind": "postgresql", **warehouse})
    return str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@db/nba",
        f"postgresql://db/nba?user=u&password={SECRET}",
        f"postgresql+psycopg://u:{SECRET}@db/nba",
        f"postgresql://u:{SECRET}[@db/nba",
        f"u:{SECRET}@db/nba",
    ],
)
def test_a_url_with_a_password_is_refused_and_not_shown(url: str) -> None:
    told = mistakes(url=url)
    assert "warehouse.url: " in told
    assert SECRET not in told


@pytest.mark.parametrize("keys", [{}, {"url": "postgresql://db/nba", "url_env": "NBA_URL"}])
def test_the_database_is_named_once(keys: dict[str, str]) -> None:
    assert "url and url_env exclude each other, and one of them is required" in mistakes(**keys)


def unreachable(monkeypatch: pytest.MonkeyPatch, url: str | None) -> str:
    """What is said of a warehouse whose URL is that of an environment variable."""
    monkeypatch.setenv("NBA_URL", url) if url else monkeypatch.delenv("NBA_URL", raising=False)
    box = phase("raw", processor("box"))
    warehouse = open_warehouse(
        pipeline(box, warehouse={"kind": "postgresql", "url_env": "NBA_URL"}, history=None)
    )
    with pytest.raises(WarehouseError) as raised:
        warehouse.catalog.describe_connection()
    warehouse.close()
    return str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@127.0.0.1:9/nba",
        f"postgresql://u:{SECRET}@127.0.0.1:9/nba?sslmod=require",
        f"postgresql://u:{SECRET}@{SECRET}@127.0.0.1:9/nba",
        f"postgresql://u:{SECRET}/{SECRET}@127.0.0.1:9/nba",
        f"postgresql://u:{SECRET}#%zz@127.0.0.1:9/nba",
        f"postgres//u:{SECRET}@127.0.0.1:9/nba",
        f"host=127.0.0.1 port={SECRET}",
    ],
)
def test_no_error_shows_a_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert SECRET not in unreachable(monkeypatch, url)


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "warehouse.url_env names NBA_URL, which is not set" in unreachable(monkeypatch, None)


def test_a_missing_driver_is_named_with_its_remedy() -> None:
    warehouse = {"kind": "postgresql", "url": "postgresql://db/nba"}
    made = pipeline(phase("raw", processor("box")), warehouse=warehouse)
    remedy = r"pip install 'backfilld\[postgres\]'"
    with (
        missing("psycopg", importer="backfilld.daemon.warehouses.postgresql"),
        pytest.raises(WarehouseError, match=remedy),
    ):
        open_warehouse(made)
