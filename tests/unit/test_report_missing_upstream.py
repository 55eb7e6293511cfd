"""Which outputs of earlier dates a range is said to lack: those of the needs, not those of comparisons."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from backfilld.daemon.reports.data_completeness import Validation, validation
from backfilld.state.pipeline.pipeline import Pipeline
from tests.factories import NOW, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse, span
from tests.platform import OPENING

COMPARED = {"volume": {"days_back": 5, "min_days": 1, "min": 0.5}}
FIRST, SECOND = dt.date(2021, 10, 26), dt.date(2021, 10, 27)


def platform(*others: Any, since: dt.date = SECOND) -> Pipeline:
    """A source that is compared with its earlier dates, and a processor of the next phase that needs them."""
    needs = [{"of": "source", "days_back": 1}]
    return pipeline(
        phase("raw", processor("source", expect=COMPARED)),
        phase("derived", processor("difference", since=since, needs=needs), *others),
    )


def validated(small: Pipeline, start: dt.date = FIRST, filled: Sequence[dt.date] = ()) -> Validation:
    facts = FakeWarehouse(small, calendar=OPENING)
    facts.fill(small.processors, [*span("2021-10-26", "2021-10-28"), *filled])
    return validation(small, facts, start, SECOND, now=NOW)


def missing(report: Validation) -> list[str]:
    return [str(one) for each in report.phases for one in each.missing_upstream]


def test_a_date_that_only_a_comparison_queries_is_not_missing() -> None:
    # Given a range on whose first date nothing needs an earlier one
    report = validated(platform())
    # Then the empty dates before it, which the source is compared with, block nothing
    assert missing(report) == []
    assert report.ready


def test_the_date_before_is_missing_where_the_first_date_of_the_range_needs_it() -> None:
    assert missing(validated(platform(since=FIRST))) == ["2021-10-25 lacks source (never_ran)"]
    assert missing(validated(platform(), start=SECOND, filled=[FIRST])) == []


def test_each_processor_of_a_phase_misses_what_it_needs_itself() -> None:
    # Given two processors of one phase, of which one reaches back further and begins later
    far = processor("week", since=SECOND, needs=[{"of": "source", "days_back": 3}])
    # Then its window is counted from its own first date
    assert missing(validated(platform(far))) == [
        f"2021-10-{day} lacks source (never_ran)" for day in (24, 25)
    ]


@pytest.mark.parametrize("accepted", ["", "never recorded"])
def test_an_output_that_somebody_accepted_needs_nothing(accepted: str) -> None:
    small = platform(since=FIRST)
    facts = FakeWarehouse(small, calendar=OPENING)
    facts.fill(["source"], [FIRST])
    check = validation(small, facts, FIRST, FIRST, now=NOW).snapshot.checks[FIRST]["difference"]
    known = {FIRST: {"difference": check._replace(accepted_reason=accepted)}}
    report = validation(small, facts, FIRST, FIRST, now=NOW, known=known)
    assert missing(report) == ([] if accepted else ["2021-10-25 lacks source (never_ran)"])
