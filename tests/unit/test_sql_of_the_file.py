"""SQL of the pipeline file keeps to itself: each text is one expression, or one query, of its dialect."""

from typing import Any

import pytest

from backfilld.daemon.warehouses.sql.fragment_validation import syntax_problem
from backfilld.state.pipeline.loading import PipelineError
from tests.factories import phase, pipeline, processor

DIALECTS = ["bigquery", "duckdb", "postgres"]

ESCAPES = [
    ("open) OR (1=1", "closes a bracket with ) that it does not open; correct its brackets"),
    ("SELECT TRUE) OR (SELECT TRUE", "closes a bracket with ) that it does not open"),
    ("(open OR closed", "opens a bracket with ( and does not close it; close it"),
    ("days[1) = 2", "closes a bracket with ) that it does not open"),
    ("open -- AND paid", "has a comment, which could hide what follows; write it after a # outside"),
    ("open /* AND paid */", "has a comment"),
    ("open /* AND paid", "has a quote or a comment that is not closed; close it"),
    ("name = 'x", "has a quote or a comment that is not closed"),
    ("open; DROP TABLE shop.orders", "has a semicolon, and must be one expression; remove it"),
    ("open;", "has a semicolon"),
    ("-- open", "has "),
    ("  ", "has no SQL; fill it in"),
    ("open, paid", "is more than one expression: it has a comma outside of brackets; write one"),
    ("open GROUP BY name", "is not one expression of the SQL of "),
    ("TRUE LIMIT 5", "is not one expression of the SQL of "),
    ("open AS paid", "is not one expression of the SQL of "),
    ("open paid closed", "is not one expression of the SQL of "),
    ("open AND", "is not one expression of the SQL of "),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("text", "problem"), ESCAPES)
def test_what_would_change_the_query_around_it_is_refused(text: str, problem: str, dialect: str) -> None:
    assert syntax_problem(text, dialect, "expression").startswith(problem)


EVERYWHERE = [
    "note <> ')' AND note <> 'a;b' AND note <> '-- x' AND name LIKE '%(%'",
    "id IN (SELECT id FROM shop.orders WHERE date = @date)",
    "SELECT MAX(n) > 1 FROM shop.orders",
    "(SELECT COUNT(*) FROM shop.orders) > 3",
    "CASE WHEN a THEN b ELSE c END",
    "\n  day BETWEEN @start AND @end\n",
    "SUM(amount) / NULLIF(COUNT(DISTINCT name), 0)",
]
OF_ONE_DIALECT = {
    "bigquery": ["REGEXP_CONTAINS(a, r'\\(')", "'''it's''' = a", "`odd (name` > 1", "'it\\'s' = a"],
    "duckdb": [
        "n // 2 = 1",
        "list_filter(l, x -> x > 1) = []",
        "{'a': 1}.a = 1",
        "a GLOB '*x'",
        "$$it's$$ = a",
    ],
    "postgres": ["a::jsonb @> '{}'", "a # b = 1", "E'it\\'s' = a", "a OPERATOR(pg_catalog.=) b", "@ a > 1"],
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_expressions_that_are_legal_are_taken(dialect: str) -> None:
    problems = {
        text: syntax_problem(text, dialect, "expression") for text in EVERYWHERE + OF_ONE_DIALECT[dialect]
    }
    assert {text: problem for text, problem in problems.items() if problem} == {}


def test_a_whole_query_may_have_comments_commas_and_a_semicolon_at_its_end() -> None:
    query = "SELECT d AS date, COUNT(*) AS n -- games, not teams\nFROM x.days /* all */ GROUP BY 1 ;"
    assert syntax_problem(query, "bigquery", "query") == ""
    assert syntax_problem(f"{query} DELETE FROM x.days", "bigquery", "query").startswith(
        "has a semicolon, and"
    )
    assert syntax_problem("SELECT 1) UNION (SELECT 2", "postgres", "query").startswith(
        "closes a bracket with )"
    )
    assert (
        syntax_problem("SELECT 'x", "duckdb", "query")
        == "has a quote or a comment that is not closed; close it"
    )


KEYS = {"columns": ["id"], "from": "ref.shops"}


@pytest.mark.parametrize(
    ("expect", "key"),
    [
        ({"quality": {"where": "a) OR (1=1"}}, "phase[raw].processor[box].expect.quality.where"),
        ({"keys": {**KEYS, "where": "a) OR (1=1"}}, "phase[raw].processor[box].expect.keys.where"),
        (
            {"change": [{"of": "SUM(n)", "min": 1}, {"of": "SUM(n)) OR (1=1", "min": 1}]},
            "phase[raw].processor[box].expect.change[1].of",
        ),
        ({"no_rows": "SELECT 1 WHERE d = @date) OR (1=1"}, "phase[raw].processor[box].expect.no_rows"),
    ],
)
@pytest.mark.parametrize(
    "warehouse",
    [
        {"kind": "bigquery", "project": "p"},
        {"kind": "lake", "path": "lake"},
        {"kind": "lake", "path": "lake", "dialect": "bigquery"},
        {"kind": "duckdb", "file": "x.duckdb"},
        {"kind": "postgresql", "url": "postgresql://reader@db/platform"},
    ],
    ids=["bigquery", "lake", "lake in BigQuery's SQL", "duckdb", "postgresql"],
)
def test_every_key_with_sql_is_checked_by_the_dialect_of_its_warehouse(
    warehouse: dict[str, Any], expect: dict[str, Any], key: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        pipeline(phase("raw", processor("box", expect=expect)), warehouse=warehouse)
    assert f"{key}: closes a bracket with ) that it does not open; correct its brackets" in str(caught.value)


@pytest.mark.parametrize(
    "keys", [{"query": "SELECT 1; SELECT 2"}, {"days": [{"name": "d", "query": "SELECT 'x"}]}]
)
def test_the_queries_of_calendars_are_checked(keys: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match=r"calendar(\.days\[d\])?\.query: has a "):
        pipeline(phase("raw", processor("box")), calendar=keys, warehouse={"kind": "duckdb", "file": "x"})
