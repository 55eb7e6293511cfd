"""A ratio against a table that is itself not satisfied says nothing; `since` and `until`."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfilld.daemon.adapters import parse_pipeline
from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import plan
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.rules.judge import JudgeContext, Reference, judge
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW, day, expectation, phase, pipeline, pipeline_data, processor, run, seen
from tests.fake_warehouse import FakeWarehouse

DAY = dt.date(2021, 10, 26)
RATIO = {"of": "players", "min": 0.9, "max": 1.1}
WAITING = st.sampled_from([v for v in Verdict if not v.satisfied])


def around(verdict, reason="2 of 14 rows", waiver="", **facts):
    reference = Reference(verdict=verdict, reason=reason, waiver=waiver)
    return JudgeContext(now=NOW, stale_after=3600.0, reference=reference, **facts)


def test_a_ratio_against_a_partial_table_is_unknown_with_its_reason():
    judged = judge(seen(rows=2, reference=2), expectation(ratio=RATIO), day(), around(Verdict.PARTIAL))
    assert judged.verdict is Verdict.UNKNOWN
    assert judged.reason == "players, which it is compared with, is partial: 2 of 14 rows"


@given(verdict=WAITING, rows=st.integers(0, 60), reference=st.integers(0, 60), least=st.integers(0, 30))
def test_no_row_count_is_complete_or_wrong_by_a_ratio_whose_reference_is_not_satisfied(
    verdict, rows, reference, least
):
    # Given a ratio beside another bound
    both, alone = expectation(ratio=RATIO, rows=[least, 40]), expectation(rows=[least, 40])
    evidence = seen(rows=rows, reference=reference, closed=run())
    # Then the verdict is that of the other bound, and what it accepts is unknown
    judged = judge(evidence, both, day(), around(verdict))
    other = judge(evidence, alone, day(), around(verdict))
    expected = Verdict.UNKNOWN if other.verdict is Verdict.COMPLETE else other.verdict
    assert judged.verdict is expected


@given(rows=st.integers(0, 60), reference=st.integers(1, 60))
def test_a_complete_reference_is_compared_with(rows, reference):
    evidence = seen(rows=rows, reference=reference)
    judged = judge(evidence, expectation(ratio=RATIO), day(), around(Verdict.COMPLETE))
    within = rows > 0 and 9 * reference <= 10 * rows <= 11 * reference
    assert (judged.verdict is Verdict.COMPLETE) is within
    assert judged.verdict is not Verdict.UNKNOWN


@given(rows=st.integers(0, 60), reference=st.integers(0, 60), verdict=WAITING)
def test_a_waived_reference_is_not_compared_with_and_the_reason_says_so(rows, reference, verdict):
    context = around(verdict, waiver="accepted by ann: lost")
    judged = judge(seen(rows=rows, reference=reference), expectation(ratio=RATIO), day(), context)
    assert (judged.verdict is Verdict.COMPLETE) is (rows > 0)
    if rows:
        assert judged.reason == "not compared with players, which passes with a waiver: accepted by ann: lost"


def test_a_reference_on_which_nothing_is_expected_is_not_compared_with():
    context = around(Verdict.NOT_EXPECTED, reason="after until 2021-10-01")
    judged = judge(seen(rows=3, reference=0), expectation(ratio=RATIO), day(), context)
    assert judged.verdict is Verdict.COMPLETE
    assert judged.reason == "not compared with players, which is not expected: after until 2021-10-01"


def test_a_step_of_the_ramp_replaces_the_ratio_so_its_reference_does_not_matter():
    expect = expectation(ratio=RATIO, ramp=[{"until_day": 20, "rows": [1, 9]}])
    assert (
        judge(seen(rows=5, reference=0), expect, day(), around(Verdict.PARTIAL)).verdict is Verdict.COMPLETE
    )


# ------------------------------------------------------------------------------------------------- reports


def compared(**of_players):
    """Two phases: players of whom 10 are expected, and a table that is compared with them."""
    return pipeline(
        phase("mid", processor("players", expect={"rows": [10, 10]}, **of_players)),
        phase("last", processor("cache", expect={"ratio": RATIO})),
    )


def cell(warehouse, name):
    report = validation(warehouse.pipeline, warehouse, DAY, DAY, now=NOW)
    (found,) = [p for phase in report.phases for p in phase.processors if p.processor == name]
    return found.dates[DAY]


@pytest.mark.parametrize("rows", [2, 9, 30])
def test_reports_judge_no_ratio_against_a_partial_table(rows):
    warehouse = FakeWarehouse(compared(), calendar={DAY: 5}, rows={("players", DAY): 4, ("cache", DAY): rows})
    assert cell(warehouse, "cache").verdict is Verdict.UNKNOWN
    assert cell(warehouse, "cache").reason.startswith("players, which it is compared with, is partial: 4 of")
    # And judge it once that is complete
    warehouse.rows["players", DAY] = 10
    assert cell(warehouse, "cache").verdict is (Verdict.COMPLETE if rows == 9 else cell_verdict(rows))


def cell_verdict(rows):
    return Verdict.PARTIAL if rows < 9 else Verdict.EXCESS


def test_a_chain_of_ratios_is_unknown_behind_its_first_partial_table_whatever_the_order_of_the_file():
    # Given three tables of one phase, each compared with the next one of the file
    chain = pipeline(
        phase(
            "mid",
            processor("third", after=["second"], expect={"ratio": {"of": "second", "min": 1.0}}),
            processor("second", after=["first"], expect={"ratio": {"of": "first", "min": 1.0}}),
            processor("first", expect={"rows": [5, 5]}),
        )
    )
    warehouse = FakeWarehouse(chain, calendar={DAY: 5})
    warehouse.rows |= dict.fromkeys([("first", DAY), ("second", DAY), ("third", DAY)], 4)
    assert [cell(warehouse, n).verdict.value for n in ("first", "second", "third")] == [
        "partial",
        "unknown",
        "unknown",
    ]
    warehouse.rows |= dict.fromkeys([("first", DAY), ("second", DAY), ("third", DAY)], 5)
    assert {cell(warehouse, name).verdict for name in chain.processors} == {Verdict.COMPLETE}


def test_the_plan_runs_what_cannot_be_compared_yet_after_its_reference():
    warehouse = FakeWarehouse(compared(), calendar={DAY: 5}, rows={("players", DAY): 4, ("cache", DAY): 4})
    made = plan(validation(warehouse.pipeline, warehouse, DAY, DAY, now=NOW), warehouse.pipeline)
    assert [step.processor for step in made.steps] == ["players", "cache"]


# ------------------------------------------------------------------------------------------ since and until


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"since": dt.date(2021, 10, 27)}, "before since 2021-10-27"),
        ({"until": dt.date(2021, 10, 25)}, "after until 2021-10-25"),
        ({"since": DAY, "until": DAY}, ""),
    ],
)
def test_outside_of_since_and_until_a_processor_is_not_expected_and_its_phase_is_ready(keys, reason):
    warehouse = FakeWarehouse(compared(**keys), calendar={DAY: 5}, rows={("cache", DAY): 3})
    got = cell(warehouse, "players")
    report = validation(warehouse.pipeline, warehouse, DAY, DAY, now=NOW)
    assert (got.verdict is Verdict.NOT_EXPECTED) is bool(reason)
    assert report.phases[0].ready is bool(reason)
    if reason:
        assert got.reason == reason
        assert report.phases[0].processors[0].note == "1 date before since or after until"
        # And what is compared with it is judged without it
        assert cell(warehouse, "cache").verdict is Verdict.COMPLETE
        # And rows that are there all the same are shown, and change no verdict
        assert report.warnings == []
        warehouse.rows["players", DAY] = 4
        found = validation(warehouse.pipeline, warehouse, DAY, DAY, now=NOW)
        assert found.warnings == [f"unexpected rows: players has 4 rows on {DAY}, {reason}"]
        shown = found.phases[0].processors[0].dates[DAY]
        assert (shown.verdict, shown.rows) == (Verdict.NOT_EXPECTED, 4)
        assert shown.reason == f"{reason}; unexpected rows: 4"
        assert found.ready == report.ready


def test_since_after_until_is_refused(tmp_path):
    keys = {"since": dt.date(2022, 1, 2), "until": dt.date(2022, 1, 1)}
    with pytest.raises(PipelineError, match="since 2022-01-02 is after until 2022-01-01; correct one"):
        parse_pipeline(pipeline_data(phase("mid", processor("players", **keys))), tmp_path / "p.toml")
