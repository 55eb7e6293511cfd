"""Which keys a date has, by another table: `expect.keys`."""

from typing import Any

import pytest

from backfilld.daemon.warehouses.adapter import QueryError
from backfilld.daemon.warehouses.sql.key_comparison_queries import key_queries
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import KeyCounts
from backfilld.state.rules.judge import Reference, judge
from backfilld.state.rules.simulated_data_damage import damaged
from backfilld.state.rules.verdict import Verdict
from tests.factories import about, day, expectation, phase, pipeline, processor, run, seen
from tests.integration.warehouses import DAY

SHOPS = {"columns": ["shop_id"], "from": "ref.shop_days"}


def with_keys(
    expected: int, missing: int = 0, extra: int = 0, *, rows: int = 40, examples: tuple[str, str] = ("", "")
) -> Evidence:
    counts = KeyCounts(
        expected=expected, missing=missing, extra=extra, missing_key=examples[0], extra_key=examples[1]
    )
    return seen(rows=rows, keys=counts)


def judged(
    evidence: Evidence, *, beside: Reference | None = None, rows: Any = None, **keys: Any
) -> tuple[str, str]:
    stated = {**SHOPS, **keys}
    if stated.get("of"):
        del stated["from"]
    rule = expectation(keys=stated, **({"rows": rows} if rows else {}))
    found = judge(evidence, rule, day(), about(reference=beside))
    return found.verdict.value, found.reason


def test_missing_keys_are_partial_and_one_is_named() -> None:
    assert judged(with_keys(40, 2, examples=("17", ""))) == (
        "partial",
        "2 of 40 keys (shop_id) of ref.shop_days are missing, such as 17",
    )


def test_a_share_of_the_keys_may_be_missing() -> None:
    assert judged(with_keys(40, 2), share=0.05)[0] == "complete"
    verdict, reason = judged(with_keys(40, 3), share=0.05)
    assert (verdict, reason.endswith("are missing, at most 5 % may be")) == ("partial", True)


def test_keys_that_the_other_table_does_not_have_are_excess_unless_they_may_be_there() -> None:
    extra = with_keys(40, extra=1, examples=("", "NULL"))
    assert judged(extra) == ("excess", "1 key (shop_id) is not in ref.shop_days, such as NULL")
    assert judged(extra, allow_extra=True) == ("complete", "")


def test_without_a_key_to_compare_with_rows_are_unknown_unless_another_rule_is_broken() -> None:
    none = with_keys(0, extra=3)
    assert judged(none) == ("unknown", "ref.shop_days, which has the keys (shop_id), has none of this date")
    rule = expectation(keys=SHOPS, filled={"columns": ["name"]})
    evidence = seen(rows=40, keys=none.keys, empty_counts={"name": 1})
    assert judge(evidence, rule, day(), about()).verdict is Verdict.DEGRADED


def test_keys_refuse_the_silent_zero_that_a_minimum_of_zero_rows_accepts() -> None:
    assert judged(seen(closed=run()), rows=[0, 9])[0] == "no_data"


def test_keys_that_were_not_counted_are_unknown() -> None:
    assert judged(seen(rows=40)) == ("unknown", "the keys were not counted")


def test_the_keys_of_an_output_say_nothing_until_it_is_satisfied() -> None:
    evidence = with_keys(40, extra=1)
    partial = Reference(verdict=Verdict.PARTIAL, reason="3 of 40 rows")
    assert judged(evidence, beside=partial, of="shops") == (
        "unknown",
        "shops, which it is compared with, is partial: 3 of 40 rows",
    )
    assert judged(evidence, beside=Reference(verdict=Verdict.COMPLETE), of="shops")[0] == "excess"
    absent = Reference(verdict=Verdict.NOT_EXPECTED)
    assert judged(evidence, beside=absent, of="shops") == (
        "complete",
        "not compared with shops, which is not expected",
    )


@pytest.mark.parametrize(
    ("damage", "seen_by_keys"),
    [("unit_lost", True), ("rows_lost_50", False), ("key_doubled", False), ("column_emptied", True)],
)
def test_a_lost_unit_and_an_emptied_key_are_seen(damage: str, seen_by_keys: bool) -> None:
    rule = expectation(keys=SHOPS)
    whole = with_keys(5, rows=100)
    found = dict(damaged(whole, day(games=5), rule))[damage]
    assert (judge(found, rule, day(), about()).verdict is not Verdict.COMPLETE) is seen_by_keys


def refused(first: dict[str, Any] | None = None, **keys: Any) -> str:
    box = processor("box", expect={"keys": {key: value for key, value in keys.items() if value}})
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", first or processor("shops")), phase("made", box))
    return "\n".join(raised.value.problems)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"from": None}, "needs one of `from`, a table, and `of`, a processor; write one of them"),
        ({"of": "shops"}, "needs one of `from`, a table, and `of`, a processor; write one of them"),
        ({"from": "shop_days"}, "is not a table's name; write dataset.table or project.dataset.table"),
        ({"from": "nba.box"}, "is the processor's own table; name the table that says which keys it has"),
        ({"from": "nba.shops"}, "nba.shops is the output of 'shops'; write of = \"shops\""),
        ({"from": None, "of": "shop"}, "'shop' is not settled before 'box'"),
        ({"from_columns": ["id", "day"]}, "from_columns and columns are pairs; name as many there as here"),
        (
            {"date_column": "day", "every_date": True},
            "date_column and every_date exclude each other; keep one",
        ),
        ({"from": None, "of": "shops", "every_date": True}, "every_date is for a table without dates"),
        ({"columns": None}, "columns: is required; add it"),
        ({"share": 1.0}, "share: 1.0 is too large; write less than 1"),
    ],
)
def test_a_mistake_is_refused_with_its_remedy(keys: dict[str, Any], problem: str) -> None:
    problems = refused(**{**SHOPS, **keys})
    assert problems.startswith("phase[made].processor[box].expect.keys")
    assert problem in problems


def test_one_processor_is_compared_with_one_other() -> None:
    first = phase("raw", processor("shops"), processor("sales"))
    rules = {"keys": {"columns": ["shop_id"], "of": "shops"}, "ratio": {"of": "sales", "min": 0.5}}
    with pytest.raises(PipelineError, match="a processor is compared with one other, so name the same one"):
        pipeline(first, phase("made", processor("box", expect=rules)))
    rules["ratio"]["of"] = "shops"
    assert pipeline(first, phase("made", processor("box", expect=rules))).references == {"box": "shops"}


def test_an_example_can_be_stored_whatever_a_key_has() -> None:
    known = pipeline(phase("raw", processor("box", expect={"keys": SHOPS}))).processors
    (query,) = key_queries(known, {"box": [DAY]})
    answer = {DAY: {"figures": [2, 1, 1], "text": "a\0b\tc\td"}}
    assert query.added_to(seen(rows=1), DAY, answer).keys == KeyCounts(
        expected=2, missing=1, extra=1, missing_key="ab", extra_key="c\td"
    )
    with pytest.raises(QueryError, match="its answer has 1 figures of keys"):
        query.added_to(seen(rows=1), DAY, {DAY: {"figures": [2], "text": None}})
