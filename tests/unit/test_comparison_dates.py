"""Which dates a volume compares with, in a report and in the engine."""

import datetime as dt

from backfilld.daemon.reports.data_completeness import validation
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.comparison_baseline import CompleteDates
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.judge import Judgement
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse

FIRST = dt.date(2021, 10, 19)
VOLUME = {"days_back": 10, "min_days": 3, "per": "games", "min": 0.7}


def days(*numbers: int) -> list[dt.date]:
    return [FIRST + dt.timedelta(days=number) for number in numbers]


def one_table() -> Pipeline:
    return pipeline(phase("raw", processor("box", expect={"volume": VOLUME})), history=None)


def filled(**rows: int) -> FakeWarehouse:
    """Ten dates of two games with 100 rows each, but for `d3=50`."""
    ours = one_table()
    known = {("box", day): rows.get(f"d{number}", 100) for number, day in enumerate(days(*range(10)))}
    return FakeWarehouse(pipeline=ours, calendar=dict.fromkeys(days(*range(10)), 2), rows=known)


def verdicts(facts: FakeWarehouse, first: int, last: int) -> dict[dt.date, tuple[Verdict, str]]:
    (start,), (end,) = days(first), days(last)
    report = validation(facts.pipeline, facts, start, end, now=NOW)
    (found,) = report.phases[0].processors
    return {date: (row.verdict, row.reason) for date, row in found.dates.items()}


def test_a_report_compares_with_the_dates_before_its_range() -> None:
    found = verdicts(filled(d9=60), 9, 9)
    assert found[days(9)[0]] == (
        Verdict.PARTIAL,
        "60 rows, at least 70: 0.7 times the median of 50 rows per games on 9 complete dates before",
    )


def test_the_first_dates_are_not_judged_and_a_date_that_is_not_complete_is_no_measure() -> None:
    found = verdicts(filled(d5=10, d6=10, d7=10, d8=10), 0, 9)
    assert [verdict for verdict, _ in found.values()] == [Verdict.COMPLETE] * 5 + [Verdict.PARTIAL] * 4 + [
        Verdict.COMPLETE
    ]
    assert found[days(2)[0]][1].startswith("volume not judged: 2 complete dates in the 10 days before")
    assert found[days(3)[0]][1] == ""


def test_a_new_verdict_replaces_what_was_known_of_its_date() -> None:
    box, (day, later) = one_table().processors["box"], days(0, 1)
    complete = CompleteDates()
    complete.record(box, day, Judgement(verdict=Verdict.COMPLETE, rows=100, expected=""), {"games": 2})
    assert [other.rows for other in complete.compared(box, later, Evidence(rows=1)).earlier] == [100]
    complete.record(box, day, Judgement(verdict=Verdict.PARTIAL, rows=10, expected=""), {"games": 2})
    assert complete.compared(box, later, Evidence(rows=1)).earlier == ()
