"""The validation report of dates that went without an output, by a daemon's waivers."""

import datetime as dt

import pytest

from backfilld.daemon.reports.data_completeness import validation
from backfilld.daemon.reports.plan.plan import plan
from backfilld.state.rules.kept_waiver import is_kept
from tests.factories import NOW, phase, pipeline, processor, run
from tests.fake_warehouse import FakeWarehouse

DAY = dt.date(2021, 10, 26)
IMP = processor("imp", priority="important", expect={"rows": [2, 2]})
FILE = pipeline(phase("raw", processor("src"), IMP), phase("calc", processor("sum")))


@pytest.fixture
def facts():
    """A warehouse with all but an important output, whose run left nothing."""
    found = FakeWarehouse(FILE, calendar={DAY: 1})
    found.rows |= {("src", DAY): 1, ("sum", DAY): 1}
    found.closed = {("imp", DAY): run()}
    return found


def report(facts, **options):
    return validation(FILE, facts, DAY, DAY, now=NOW, **options)


def waived(facts):
    """What a daemon knows whose date went without the output."""
    check = report(facts).snapshot.checks[DAY]["imp"]
    return {DAY: {"imp": check._replace(waived_by="policy", waiver_reason=f"no data: {check.reason}")}}


def test_a_date_that_went_without_an_output_by_its_priority_is_ready(facts):
    told = report(facts, known=waived(facts))
    assert told.ready
    assert told.next_action == "nothing to do: 1 date expected, ready in every phase"
    # And its row shows what is missing
    assert told.phases[0].processors[1].symbol == "○"


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("failed", [False, True])
def test_an_output_that_has_to_run_after_all_is_named(facts, rows, failed):
    known = waived(facts)
    facts.rows["imp", DAY] = rows
    told = report(facts, known=known, failed=[DAY] if failed else [])
    assert told.ready is not (bool(rows) or failed)
    if not told.ready:
        assert told.next_action == "run raw: 1 date lacks imp; see the plan"


def test_a_plan_tries_an_output_that_an_earlier_request_went_without(facts):
    told = report(facts, known=waived(facts))
    assert is_kept(FILE.processors["imp"], told.snapshot.checks[DAY])
    assert [step.processor for step in plan(told, FILE).steps] == ["imp"]
    # But not of a done date: a request leaves that as it is
    assert plan(told, FILE, done=[DAY]).steps == []
