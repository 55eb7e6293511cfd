"""What a validation advises where a run of the history succeeded and left no rows."""

from backfilld.daemon.reports.data_completeness import Readiness
from backfilld.daemon.reports.plan.plan import plan
from tests.factories import run
from tests.unit.test_report import date, phase_of, small, validated


def test_a_success_of_the_history_without_rows_is_advised_to_run() -> None:
    small_nba, facts = small()
    facts.rows = {("bigdataball_play_by_play", date("2021-10-26")): 4000}
    facts.closed = {("nbac_team_boxscore", date("2021-10-26")): run()}
    report = validated(small_nba, facts, "2021-10-26")
    assert phase_of(report, "phase2").dates == {date("2021-10-26"): Readiness.INCOMPLETE}
    assert report.next_action == "run phase2: 1 date lacks nbac_team_boxscore; see the plan"
    first, *_ = plan(report, small_nba).steps
    assert (first.processor, first.dates) == ("nbac_team_boxscore", [date("2021-10-26")])


def test_a_critical_source_that_is_trusted_blocks_and_running_again_is_not_advised() -> None:
    small_nba, facts = small(jobs={"no_data": "trust"})
    facts.rows = {("bigdataball_play_by_play", date("2021-10-26")): 4000}
    facts.closed = {("nbac_team_boxscore", date("2021-10-26")): run()}
    report = validated(small_nba, facts, "2021-10-26")
    assert phase_of(report, "phase2").dates == {date("2021-10-26"): Readiness.BLOCKED}
    assert report.next_action.startswith("look into phase2, running again does not help: 1 date blocked")
    # And what helps is accepting the gap
    assert report.next_action.endswith("backfilld accept 2021-10-26 nbac_team_boxscore --reason TEXT")
