"""A measure against its median on the complete dates before: `expect.change`."""

import datetime as dt
import math
from typing import Any

import pytest

from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.evidence import EarlierDate, Evidence
from backfilld.state.rules.judge import judge
from backfilld.state.rules.simulated_data_damage import damaged
from backfilld.state.rules.verdict import Verdict
from tests.factories import about, day, expectation, phase, pipeline, processor, seen

TODAY = dt.date(2021, 11, 20)
SUM = "SUM(amount)"
TWICE = {"of": SUM, "days_back": 10, "min_days": 3, "min": 0.5, "max": 2.0}


def evidence(value: float | None, *before: float | None, games: int = 5, incomplete: int = 0) -> Evidence:
    """A value today and on the days before, oldest first; the last `incomplete` of them are not complete."""
    dates = [TODAY - dt.timedelta(days=number) for number in range(len(before), 0, -1)]
    complete = dates[: len(dates) - incomplete]
    return seen(
        rows=10,
        measures={SUM: value},
        measures_before={date: {SUM: known} for date, known in zip(dates, before, strict=True)},
        earlier=tuple(EarlierDate(date=date, rows=10, counts={"games": games}) for date in complete),
    )


def judged(found: Evidence, **measure: Any) -> tuple[str, str]:
    judgement = judge(found, expectation(change=[{**TWICE, **measure}]), day(str(TODAY), games=5), about())
    return judgement.verdict.value, judgement.reason


def test_a_measure_out_of_bounds_is_degraded_with_the_figures() -> None:
    assert judged(evidence(49.0, 90, 100, 110)) == (
        "degraded",
        "SUM(amount) is 49, 0.49 times the median of 100 on 3 complete dates before, at least 0.5",
    )
    assert judged(evidence(201.0, 90, 100, 110))[1].endswith("before, at most 2")
    assert judged(evidence(50.0, 90, 100, 110)) == ("complete", "")
    assert judged(evidence(200.0, 90, 100, 110)) == ("complete", "")


def test_only_complete_dates_are_compared_with() -> None:
    assert judged(evidence(100.0, 100, 100, 100, 1, 1, 1, 1, incomplete=4)) == ("complete", "")


def test_too_few_dates_are_not_judged_and_that_is_said() -> None:
    assert judged(evidence(1.0, 100, 100)) == (
        "complete",
        "change of SUM(amount) not judged: 2 complete dates in the 10 days before, at least 3 needed",
    )
    assert judged(evidence(None, 100, None, math.nan, 100)) == (
        "complete",
        "change of SUM(amount) not judged: 2 complete dates with a number, of 4 in the 10 days before,"
        " at least 3 needed",
    )


def test_a_measure_that_is_no_number_is_degraded() -> None:
    assert judged(evidence(None, 90, 100, 110)) == ("degraded", "SUM(amount) is NULL")
    assert judged(evidence(math.nan, 90, 100, 110)) == ("degraded", "SUM(amount) is nan")
    assert judged(evidence(math.inf, 90, 100, 110))[0] == "degraded"


def test_a_median_of_zero_says_nothing() -> None:
    assert judged(evidence(7.0, 0, 0, 0)) == ("complete", "change of SUM(amount) not judged: its median is 0")


def test_losses_are_compared_like_gains() -> None:
    assert judged(evidence(-60.0, -90, -100, -110))[0] == "complete"
    assert judged(evidence(-40.0, -90, -100, -110))[0] == "degraded"
    assert judged(evidence(60.0, -90, -100, -110))[0] == "degraded"


def test_a_measure_is_divided_by_a_count_of_the_calendar() -> None:
    # Given five games today and ten on each day before
    assert judged(evidence(100.0, 200, 200, 200, games=10), per="games", min=1.0, max=1.0) == ("complete", "")
    assert judged(evidence(100.0, 200, 200, 200, games=10), min=0.9)[0] == "degraded"


def test_a_measure_that_was_not_counted_is_unknown() -> None:
    assert judged(seen(rows=10)) == ("unknown", "SUM(amount) was not counted")


def test_lost_rows_change_a_sum_and_no_mean() -> None:
    for of, is_seen in ((SUM, True), ("AVG(amount)", False)):
        rule = expectation(change=[{**TWICE, "of": of, "min": 0.9}])
        found = evidence(100.0, 100, 100, 100)
        known = {date: {of: 100.0} for date in found.measures_before}
        whole = seen(rows=100, measures={of: 100.0}, measures_before=known, earlier=found.earlier)
        lost = dict(damaged(whole, day(str(TODAY)), rule))["rows_lost_20"]
        assert (judge(lost, rule, day(str(TODAY)), about()).verdict is not Verdict.COMPLETE) is is_seen


@pytest.mark.parametrize(
    ("measure", "problem"),
    [
        ({"of": SUM}, "change[0]: bounds nothing; write min, max or both"),
        ({"min": 0.5}, "change[0].of: is required; add it"),
        ({**TWICE, "min": 3.0}, "change[0]: can never hold: the minimum 3.0 is above the maximum 2.0"),
        ({**TWICE, "min_days": 11}, "change[0]: min_days 11 is above days_back 10"),
        ({**TWICE, "of": "SUM(amount) OVER ()"}, "change[0].of: "),
    ],
)
def test_a_mistake_is_refused_with_its_remedy(measure: dict[str, Any], problem: str) -> None:
    lake = {"kind": "lake", "path": "lake", "dialect": "bigquery"}
    with pytest.raises(PipelineError) as raised:
        pipeline(phase("raw", processor("box", expect={"change": [measure]})), warehouse=lake)
    assert str(raised.value.problems[0]).startswith(f"phase[raw].processor[box].expect.{problem}")


def test_sums_of_bigquerys_sql_are_carried_to_the_lake() -> None:
    lake = {"kind": "lake", "path": "lake", "dialect": "bigquery"}
    assert pipeline(phase("raw", processor("box", expect={"change": [TWICE]})), warehouse=lake)
