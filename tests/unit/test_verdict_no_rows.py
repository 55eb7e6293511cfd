"""SQL that must find nothing: `expect.no_rows`."""

import pytest

from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.sql_parameters import parameter_names, replace_parameters
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import KeyCounts, OffendingRows
from backfilld.state.rules.judge import judge
from tests.factories import about, day, expectation, phase, pipeline, processor, seen

SQL = "SELECT id FROM nba.box WHERE date = @date AND amount < 0"


def judged(evidence: Evidence, **rules: object) -> tuple[str, str]:
    found = judge(evidence, expectation(no_rows=SQL, **rules), day(), about())
    return found.verdict.value, found.reason


def finding(rows: int, *examples: str, count: int = 9, **figures: object) -> Evidence:
    return seen(rows=count, offending=OffendingRows(rows=rows, examples=examples), **figures)


def test_any_row_that_is_found_is_degraded_and_named() -> None:
    assert judged(finding(0)) == ("complete", "")
    assert judged(finding(1, '{"id":7}')) == ("degraded", 'no_rows finds 1 row: {"id":7}')
    assert judged(finding(30, '{"id":7}', '{"id":9}')) == (
        "degraded",
        'no_rows finds 30 rows: {"id":7} and {"id":9}',
    )


def test_what_was_not_queried_is_unknown() -> None:
    assert judged(seen(rows=9)) == ("unknown", "the rows of no_rows were not counted")


def test_an_empty_partition_holds_the_rules_that_concern_it() -> None:
    def empty(rows: int, **figures: object) -> Evidence:
        return finding(rows, count=0, has_partition=True, **figures)

    assert judged(empty(0), empty="partition")[0] == "complete"
    assert judged(empty(2), empty="partition") == ("degraded", "no_rows finds 2 rows")
    assert judged(seen(has_partition=True), empty="partition")[0] == "unknown"
    keys = {"columns": ["shop_id"], "from": "ref.shops"}
    none, three = (KeyCounts(expected=n, missing=n, extra=0) for n in (0, 3))
    assert judged(empty(0, keys=none), empty="partition", keys=keys)[0] == "complete"
    assert judged(empty(0, keys=three), empty="partition", keys=keys)[0] == "partial"
    always = {**keys, "every_date": True}
    assert judged(empty(0, keys=none), empty="partition", keys=always)[0] == "partial"


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT 1 FROM nba.box", "does not say which date it is about; write WHERE date = @date"),
        ("SELECT '@date' FROM nba.box -- @date", "does not say which date it is about"),
        (
            "SELECT 1 FROM nba.box WHERE date BETWEEN @start AND @end",
            "is sent for each date alone, so there is no @start; write @date",
        ),
        ("", "is empty; fill it in"),
        ("SELECT QUALIFY FROM nba.box WHERE date = @date", "write it in DuckDB's SQL"),
    ],
)
def test_a_mistake_is_refused_with_its_remedy(sql: str, problem: str) -> None:
    lake = {"kind": "lake", "path": "lake", "dialect": "bigquery"}
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box", expect={"no_rows": sql})), warehouse=lake)
    assert raised.value.problems[0].startswith("phase[raw].processor[box].expect.no_rows: ")
    assert problem in raised.value.problems[0]


def test_bigquerys_sql_is_carried_to_the_lake() -> None:
    lake = {"kind": "lake", "path": "lake", "dialect": "bigquery"}
    assert pipeline(phase("raw", processor("box", expect={"no_rows": SQL})), warehouse=lake)


def test_parameters_are_named_outside_of_texts_and_comments() -> None:
    text = """SELECT @date, '@a', "@b", @@error /* @c */ FROM t -- @d\nWHERE x = @e"""
    assert parameter_names(text) == ["date", "e"]
    assert replace_parameters(text, lambda name: f"${name}").endswith("WHERE x = $e")
