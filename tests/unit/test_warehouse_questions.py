"""The SQL that a warehouse is asked, as text: what it names, what it leaves to parameters."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.daemon.warehouses.sql import evidence_queries, run_history
from backfilld.daemon.warehouses.sql.date_predicates import DateColumn, DateFilter
from backfilld.daemon.warehouses.sql.evidence_queries import Query
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.run_history_settings import HistorySettings
from tests.factories import phase, pipeline, processor

DAY = dt.date(2021, 10, 26)


def after(*days: int) -> list[dt.date]:
    """DAY plus so many days each."""
    return [DAY + dt.timedelta(days=number) for number in days]


def ask(wanted: dict[str, list[dt.date]], **expect: Any) -> Query:
    """The question for processors `box` and `summary`, which is measured against it."""
    ours = pipeline(
        phase("raw", processor("box", date_column="game_date", expect=expect)),
        phase("made", processor("summary", expect={"ratio": {"of": "box"}})),
    )
    return evidence_queries.evidence(evidence_queries.table_queries(ours.processors, wanted))


def test_every_name_is_quoted() -> None:
    question = ask(
        {"box": [DAY]}, distinct=[{"column": "game_id", "per": "games"}], filled={"columns": ["minutes"]}
    )
    assert question.sql("bigquery") == (
        "SELECT 'box' AS processor, `game_date` AS date, COUNT(*) AS n, [COUNT(DISTINCT `game_id`),"
        " COUNT(CASE WHEN `minutes` IS NULL"
        " OR NOT REGEXP_CONTAINS(CAST(`minutes` AS STRING), '[^\\\\p{Z}\\\\t-\\\\r\\\\x85]')"
        " OR REGEXP_CONTAINS(CAST(`minutes` AS STRING), '^(-?(nan|NaN)|[-+]?0([.]0*)?)$') THEN 1 END)]"
        " AS figures"
        " FROM `nba`.`box` WHERE `game_date` BETWEEN @start0 AND @end0 GROUP BY 2"
    )
    assert question.params == {"start0": DAY, "end0": DAY}


def test_a_predicate_stands_on_lines_of_its_own() -> None:
    assert "COUNT(CASE WHEN (\npct >= 95\n) THEN 1 END)" in ask(
        {"box": [DAY]}, quality={"where": "pct >= 95"}
    ).sql("bigquery")


def test_braces_in_a_predicate_are_its_own() -> None:
    where = "REGEXP_CONTAINS(game_id, r'^[0-9]{10}$')"
    assert where in ask({"box": [DAY]}, quality={"where": where}).sql("bigquery")


@pytest.mark.parametrize(
    ("days", "named"),
    [
        ([0], False),
        ([0, 1, 2], False),
        ([0, 2, 4, 6], False),
        ([0, 3], False),
        ([0, 4], True),
        ([0, 100], True),
        ([5, 0, 20], True),
    ],
)
def test_dates_that_are_few_and_far_apart_are_named_each(days: list[int], named: bool) -> None:
    # When
    question = ask({"box": after(*days)})

    # Then the first and the last always bound the partitions
    assert (question.params["start0"], question.params["end0"]) == (min(after(*days)), max(after(*days)))
    assert ("IN UNNEST(@dates0)" in question.sql("bigquery")) is named
    assert question.params.get("dates0") == (tuple(sorted(after(*days))) if named else None)


def test_tables_asked_about_the_same_dates_share_their_parameters() -> None:
    spans = DateFilter()
    column = DateColumn("b")
    first = spans.add((DAY,), column)
    second = spans.add(tuple(after(1)), column)
    assert second.predicate.sql("bigquery") == "`b` BETWEEN @start1 AND @end1"
    assert spans.add((DAY,), column) == first
    assert len(spans.params) == 4


def test_a_table_is_named_once_with_its_own_dates_and_those_it_is_measured_on() -> None:
    question = ask({"box": after(0), "summary": after(1)}, distinct=[{"column": "game_id", "per": "games"}])
    assert [part.dates for select in question.selects for part in select.partitions] == [
        tuple(after(0, 1)),
        tuple(after(1)),
    ]


def test_a_table_that_is_only_measured_against_is_counted_and_no_more() -> None:
    sql = ask(
        {"summary": after(1)}, distinct=[{"column": "game_id", "per": "games"}], quality={"where": "x > 1"}
    ).sql("bigquery")
    assert "`nba`.`box`" in sql
    assert "game_id" not in sql
    assert "x > 1" not in sql


def test_history_is_asked_without_its_phase_and_with_parameters_only() -> None:
    # Given
    source = HistorySettings(table="nba_reference.processor_run_history")

    # When
    question = run_history.runs_query(source, ["BoxProcessor", "Box", "Box"], after(1, 0))

    # Then
    assert "phase" not in question.sql("bigquery")
    assert "Box" not in question.sql("bigquery")
    assert question.params == {
        "start0": DAY,
        "end0": DAY + dt.timedelta(days=1),
        "names": ("Box", "BoxProcessor"),
        "running": ("running",),
    }


# ------------------------------------------------------------ nothing gets into SQL but checked, quoted names

HOSTILE = ("a`b", "a'b", 'a"b', "a;b", "a b", "a\nb", "a\n", "a/*b*/", "a)b", "a\\b", "")
"""What a name would need to leave its backticks or its literal, and what no name is."""

NAMES: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "a processor": lambda name: {"processor": {"name": name, "table": "nba.box", "command": ["true"]}},
    "a table": lambda name: {"processor": processor("box", table=f"nba.{name}")},
    "a dataset": lambda name: {"processor": processor("box", table=f"{name}.box")},
    "a project": lambda name: {"processor": processor("box", table=f"{name}.nba.box")},
    "a date column": lambda name: {"processor": processor("box", date_column=name)},
    "a column of distinct values": lambda name: {
        "processor": processor("box", expect={"distinct": [{"column": name, "per": "games"}]})
    },
    "a filled column": lambda name: {
        "processor": processor("box", expect={"filled": {"columns": [name], "share": 0.5}})
    },
    "the history's table": lambda name: {"history": {"table": f"nba.{name}"}},
    **{
        f"the history's {column}": lambda name, column=column: {
            "history": {"table": "nba.runs", column: name}
        }
        for column in (
            "date",
            "processor",
            "run_id",
            "status",
            "started_at",
            "ended_at",
            "detail",
            "controller",
        )
    },
}
"""The names of a pipeline file that stand in SQL."""
COLUMNS = {name for name in NAMES if "column" in name or name.startswith("the history's")} - {
    "the history's table"
}
"""The names that may have letters of any language."""


@pytest.mark.parametrize("kind", NAMES)
def test_no_name_of_the_pipeline_file_can_leave_its_quotes(kind: str) -> None:
    def named(name: str) -> Pipeline:
        keys = {"processor": processor("box"), **NAMES[kind](name)}
        return pipeline(phase("raw", keys.pop("processor")), **keys)

    assert named("fine")
    foreign_letters = () if kind in COLUMNS else ("aé",)
    for hostile in (*HOSTILE, *foreign_letters):
        with pytest.raises(PipelineError):
            named(hostile)


@given(st.lists(st.dates(), min_size=1, max_size=20), st.lists(st.text(), min_size=1, max_size=5))
def test_whatever_is_asked_about_the_text_is_one_of_two(days: list[dt.date], names: list[str]) -> None:
    """The dates of a request and the names in a history are parameters: of the text they change nothing.

    There are two texts: of dates that are close together, and of few that are far apart.
    """
    source = HistorySettings(table="nba_reference.processor_run_history")
    texts = {
        run_history.runs_query(source, ["x"], near).sql("bigquery")
        + evidence_queries.evidence(_probes(near)).sql("bigquery")
        for near in (after(0), after(0, 100))
    }
    asked = run_history.runs_query(source, names, days)
    assert asked.sql("bigquery") + evidence_queries.evidence(_probes(days)).sql("bigquery") in texts
    assert asked.params["names"] == tuple(sorted(set(names)))
    assert (asked.params["start0"], asked.params["end0"]) == (min(days), max(days))


def _probes(days: list[dt.date]) -> list[evidence_queries.TableQuery]:
    return evidence_queries.table_queries(pipeline(phase("raw", processor("box"))).processors, {"box": days})
