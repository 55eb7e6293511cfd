"""SQL of the pipeline file keeps to itself: each text is one expression, or one query, of its dialect."""

from typing import Any

import duckdb
import pytest

from backfilld.daemon.warehouses.sql.fragment_validation import syntax_problem
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.sql_parameters import parameter_names
from tests.factories import phase, pipeline, processor
from tests.unit.test_bigquery_transpiler import EXACT

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
    ("day = @date", "has the parameter @date, which only whole queries have; compare with the column"),
    ("day BETWEEN @start AND @end", "has the parameter @start"),
    ("id IN (SELECT id FROM shop.orders WHERE date = @date)", "has the parameter @date"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("text", "problem"), ESCAPES)
def test_what_would_change_the_query_around_it_is_refused(text: str, problem: str, dialect: str) -> None:
    assert syntax_problem(text, dialect, "condition").startswith(problem)


@pytest.mark.parametrize(
    "text", ["order > 0", '"a" > 0 AND end > 0', "group > 0", "n = ?", "n = $1", "n IN ($n)"]
)
def test_what_duckdb_reads_otherwise_than_it_was_meant_is_refused(text: str) -> None:
    problem = syntax_problem(text, "duckdb", "condition")
    assert problem.startswith("is not one expression of the SQL of duckdb: ")
    quoted = text.replace("order", '"order"').replace("end", '"end"').replace("group", '"group"')
    if quoted != text:
        assert syntax_problem(quoted, "duckdb", "condition") == ""


EVERYWHERE = [
    "note <> ')' AND note <> 'a;b' AND note <> '-- x' AND name LIKE '%(%'",
    "id IN (SELECT id FROM shop.orders WHERE name = '@date')",
    "SELECT MAX(n) > 1 FROM shop.orders",
    "(SELECT COUNT(*) FROM shop.orders) > 3",
    "CASE WHEN a THEN b ELSE c END",
    "\n  day BETWEEN opened AND closed\n",
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
    texts = [*EVERYWHERE, *OF_ONE_DIALECT[dialect], *(EXACT if dialect == "bigquery" else ())]
    problems = {text: syntax_problem(text, dialect, "condition") for text in texts}
    problems |= {text: syntax_problem(text, dialect, "measure") for text in MEASURES}
    assert {text: problem for text, problem in problems.items() if problem} == {}


NOT_OF_ONE_ROW = [
    ("SUM(v) > 0", "has the aggregate SUM(v), and it is a condition on one row: write one, or expect.change"),
    ("v > AVG(v)", "has the aggregate AVG(v)"),
    ("COUNT(*) > 1", "has the aggregate COUNT(*)"),
    ("v > 0 AND NOT (MAX(v) IS NULL)", "has the aggregate MAX(v)"),
    ("(SELECT SUM(v)) > 0", "has the aggregate SUM(v) of no table"),
    ("ROW_NUMBER() OVER (ORDER BY id) = 1", "has the window function ROW_NUMBER() OVER (ORDER BY id"),
    ("SUM(v) OVER () > 0", "has the window function SUM(v) OVER ()"),
    ("v > (SELECT n, id FROM shop.orders)", "compares v with a subquery of 2 columns; select one"),
    ("id IN (SELECT id, n FROM shop.orders)", "compares id with a subquery of 2 columns; select one"),
    ("UNNEST(l) > 1", "has UNNEST(l), which gives several rows"),
]
MEASURES = ["SUM(v)", "COUNT(*)", "SUM(v) / NULLIF(COUNT(DISTINCT name), 0)", "1", "my_aggregate(v)"]
CONDITIONS = [*EVERYWHERE[:1], "id IN (SELECT id FROM shop.orders)", "(SELECT MAX(n) FROM shop.orders) > v"]
CONDITIONS += ["EXISTS (SELECT 1 FROM shop.orders AS o WHERE o.id = t.id)", "v > 0 OR v IS NULL"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("text", "problem"), NOT_OF_ONE_ROW)
def test_a_condition_that_needs_more_than_one_row_is_refused(text: str, problem: str, dialect: str) -> None:
    assert syntax_problem(text, dialect, "condition").startswith(problem)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("bigquery", "COUNTIF(v > 1) > 0"),
        ("bigquery", "LOGICAL_AND(v > 1)"),
        ("duckdb", "arg_max(v, id) = 1"),
        ("duckdb", "fsum(v) > 1"),
        ("postgres", "every(v > 1)"),
        ("postgres", "COUNT(*) FILTER (WHERE v > 1) > 0"),
        ("postgres", "mode() WITHIN GROUP (ORDER BY v) = 1"),
    ],
)
def test_the_aggregates_of_each_dialect_are_known(dialect: str, text: str) -> None:
    assert syntax_problem(text, dialect, "condition").startswith("has the aggregate ")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", ["v", "ROUND(v * 2)", "SUM(v) OVER ()"])
def test_a_measure_that_is_no_aggregate_is_refused(text: str, dialect: str) -> None:
    problem = syntax_problem(text, dialect, "measure")
    assert problem.endswith("write an aggregate over the rows of a date, such as SUM(amount)")


def test_what_is_refused_and_taken_is_what_a_query_refuses_and_takes() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE SCHEMA shop; CREATE TABLE shop.orders(id INT, n INT);"
            "CREATE TABLE t(id INT, v DOUBLE, note TEXT, name TEXT, l INT[]); INSERT INTO t (id) VALUES (1)"
        )
        for text in [*CONDITIONS, *(text for text, _ in NOT_OF_ONE_ROW)]:
            try:
                connection.execute(f"SELECT COUNT(CASE WHEN (\n{text}\n) THEN 1 END) FROM t GROUP BY id")
                runs = True
            except duckdb.Error:
                runs = False
            assert runs is not bool(syntax_problem(text, "duckdb", "condition")), text


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


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("DELETE FROM raw.orders WHERE date = @date", "is no query: it begins with DELETE; write one SELECT"),
        ("insert into x.days SELECT 1", "is no query: it begins with insert"),
        ("SELEC 1 FROM x.days WHERE date = @date", "is no query: it begins with SELEC"),
        ("SET a = 1", "is no query: it begins with SET"),
        (
            "WITH gone AS (DELETE FROM x.days RETURNING date) SELECT * FROM gone",
            "is no query: it has a DELETE",
        ),
        ("WITH d AS (SELECT 1) UPDATE x.days SET n = 1", "is no query: it has a UPDATE"),
        ("WITH d AS (SELECT 1 AS n) SELECT n AS updated FROM d", ""),
        ("(SELECT 1) UNION ALL (SELECT 2)", ""),
        ("SELECT 'DELETE FROM x' AS text, (deleted) FROM x.days", ""),
    ],
)
def test_a_query_only_reads(query: str, problem: str, dialect: str) -> None:
    found = syntax_problem(query, dialect, "query")
    assert found.startswith(problem) if problem else found == ""


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("condition", "found", "remedy"),
    [
        ("date = DATE @date", "DATE @date", "write @date alone"),
        ("date = date\n  @date", "date @date", "write @date alone"),
        ("at >= TIMESTAMP @date", "TIMESTAMP @date", "write @date alone"),
        ("at >= TIMESTAMPTZ @start", "TIMESTAMPTZ @start", "write @start alone"),
        ("at < DATETIME/* next */@end", "DATETIME @end", "write @end alone"),
        ("at < TIME @date", "TIME @date", "write @date alone"),
    ],
)
def test_a_parameter_in_the_place_of_a_typed_literals_text_is_refused(
    condition: str, found: str, remedy: str, dialect: str
) -> None:
    (parameter,) = parameter_names(condition)
    problem = syntax_problem(f"SELECT 1 FROM shop.orders WHERE {condition}", dialect, "query")
    assert problem == f"has {found}, and @{parameter} is a DATE already; {remedy}"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    "condition",
    [
        "date = @date AND note <> 'DATE @date' -- DATE @date",
        "date = DATE(@date)",
        "date = CAST(@date AS DATE)",
        "date BETWEEN DATE '2024-01-01' AND @date",
    ],
)
def test_a_parameter_may_stand_wherever_a_value_may(condition: str, dialect: str) -> None:
    assert syntax_problem(f"SELECT 1 FROM shop.orders WHERE {condition}", dialect, "query") == ""


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
