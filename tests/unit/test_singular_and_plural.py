"""A count of one has a singular noun, wherever a count is printed."""

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from backfilld.daemon.engine.transition_reasons import advance_reason
from backfilld.state.rules.gates import Advance
from backfilld.state.rules.judge import judge
from backfilld.state.rules.verdict import Verdict
from tests.documents import ROOT
from tests.factories import about, day, expectation, phase, pipeline, processor, seen

COUNTED = re.compile(r"\{(?!pluralize)[^{}]*\} (?:rows|keys)\b")
"""A number in a text, before a noun that is always plural."""


@pytest.mark.parametrize(
    ("rows", "expected", "reason"),
    [
        (1, [2, 2], "1 of 2 rows"),
        (1, [0, 0], "1 row, at most 0 for 5 games"),
        (3, [1, 1], "3 rows, at most 1 for 5 games"),
    ],
)
def test_a_verdict_counts_rows(rows: int, expected: list[int], reason: str) -> None:
    judged = judge(seen(rows), expectation(rows=expected), day(), about())
    assert judged.reason == reason


def test_the_history_of_a_date_counts_rows() -> None:
    stage = pipeline(phase("raw", processor("revenue"))).stages[0]
    for rows, reason in ((1, "revenue 1 row"), (7, "revenue 7 rows")):
        check = cast(Any, SimpleNamespace(rows=rows, verdict=Verdict.COMPLETE))
        assert advance_reason(stage, Advance(), {"revenue": check}) == reason


def test_no_text_of_the_product_counts_rows_without_a_singular() -> None:
    # A repeated key takes two rows, and the others have thousands or stand beside "row" or a share.
    known = {"median", "LARGE", "relation.rows", "noun", "rows:,", "{evidence.rows} rows"}
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for folder in ("state", "daemon", "api")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for match in COUNTED.finditer(path.read_text(encoding="utf-8"))
        if not any(word in match[0] for word in known)
    ]
    assert found == []
