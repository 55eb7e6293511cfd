"""What contradicts the calendar in a validation, and the command for a failed date."""

import datetime as dt
import re
from typing import Any

import pytest

from backfilld.api.schemas import data_quality_reports
from backfilld.daemon.reports.plan.plan import plan
from backfilld.daemon.reports.quality import quality
from backfilld.daemon.reports.remedies import helpful_command
from backfilld.state.rules.verdict import Verdict
from tests.factories import NOW, nba, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse
from tests.platform import OPENING, as_it_was
from tests.unit.test_report import GAMEBOOK, date, validated


def test_a_range_without_expected_dates_is_queried_for_unexpected_rows_alone() -> None:
    platform = as_it_was()
    facts = FakeWarehouse(platform, calendar=OPENING)
    report = validated(platform, facts, "2021-10-15", "2021-10-18")
    assert facts.asked == ["counts", "validation"]
    assert (report.snapshot.wanted, report.warnings) == ({}, [])
    # And a spot check of its rows has nothing to query
    facts.asked.clear()
    quality(platform, facts, date("2021-10-15"), date("2021-10-18"), now=NOW)
    assert facts.asked == ["counts"]


def test_a_range_with_games_in_no_season_says_so_with_its_dates() -> None:
    # Given a calendar that counts games on two weeks before the first season of the file opens
    platform = as_it_was()
    days = {date("2021-10-04") + dt.timedelta(days=n): 6 for n in range(14)}
    report = validated(platform, FakeWarehouse(platform, calendar=days), "2021-10-04", "2021-10-17")
    # Then the report names them, as nothing of theirs is expected
    assert report.expected_dates == 0
    assert report.counts_outside_seasons == {day: {"games": 6} for day in days}
    assert report.warnings == [
        "14 dates have counts in the calendar outside of all seasons: 2021-10-04..2021-10-17;"
        " correct calendar.season"
    ]
    assert report.next_action == (
        "correct calendar.season: 2021-10-04..2021-10-17 have counts and lie in no season"
    )


def test_rows_on_a_date_that_the_schedule_lacks_are_unexpected_rows() -> None:
    # Given a season in which the schedule lacks a date that a table has rows of
    small_nba = nba()
    lost = date("2021-10-23")
    calendar = {day: games for day, games in OPENING.items() if day != lost}
    facts = FakeWarehouse(small_nba, calendar=calendar)
    *first, last = small_nba.phase
    facts.fill([p.name for phase in first for p in phase.processor], calendar)
    facts.fill([p.name for p in last.processor], [day for day in calendar if day >= date("2021-10-26")])
    facts.rows["nbac_team_boxscore", lost] = 18
    # When the range is validated
    report = validated(small_nba, facts, "2021-10-19", "2021-10-28")
    # Then every expected date is ready, and the rows are named
    assert report.ready
    assert report.unexpected_rows == {"nbac_team_boxscore": {lost: 18}}
    assert report.warnings == [
        "unexpected rows: nbac_team_boxscore has 18 rows on 2021-10-23, which the calendar does not expect"
    ]
    assert data_quality_reports.Validation.plain(report)["unexpected_rows"] == {
        "nbac_team_boxscore": {"2021-10-23": 18}
    }


def test_rows_beside_what_a_processor_has_by_its_own_days_are_unexpected_rows() -> None:
    # Given rows of a weekly output on another day, and of a processor in bootstrap
    days, monday, thursday = {"days": [{"name": "mondays", "weekdays": ["mon"]}]}, "2021-10-25", "2021-10-28"
    season = {"name": "s", "opens": date("2021-10-20"), "closes": date("2021-12-31")}
    made = pipeline(
        phase("raw", processor("weekly", days="mondays")),
        phase("calc", processor("cache"), skip_bootstrap=True),
        calendar={"query": "SELECT 1", "bootstrap_days": 14, "season": [season], **days},
    )
    facts = FakeWarehouse(made, calendar={date(monday): 1, date(thursday): 1})
    facts.fill(made.processors, [date(monday), date(thursday)])
    assert validated(made, facts, monday, thursday).warnings == [
        f"unexpected rows: weekly has 1 row on {thursday}, outside of mondays",
        f"unexpected rows: cache has 2 rows on {monday}, {thursday}, in the season's bootstrap",
    ]


def test_a_table_that_cannot_be_queried_has_no_unexpected_rows() -> None:
    platform = as_it_was()
    facts = FakeWarehouse(platform, calendar=OPENING, broken={GAMEBOOK: "no such column"})
    facts.rows[GAMEBOOK, date("2021-10-15")] = 67
    assert validated(platform, facts, "2021-10-15").unexpected_rows == {}


@pytest.mark.parametrize(
    ("reason", "unsatisfied", "command"),
    [
        ("box: failed: exit 1; 3 attempts", {"box": Verdict.FAILED}, "backfilld retry 2021-10-27"),
        ("backfill 7 was cancelled", {"box": Verdict.NEVER_RAN}, "backfilld retry 2021-10-27"),
        (
            "box: no data: the latest run succeeded, but there are no rows",
            {"plays": Verdict.NO_DATA, "box": Verdict.NO_DATA},
            "backfilld accept 2021-10-27 box --reason TEXT",
        ),
        # Its rows have come since, or a late row of the history says that the run failed.
        ("box: no data: the latest run succeeded", {"team": Verdict.NEVER_RAN}, "backfilld retry 2021-10-27"),
        ("box: no data: the latest run succeeded", {"box": Verdict.FAILED}, "backfilld retry 2021-10-27"),
        (
            "box: never_ran: no rows; not run: sources none",
            {"box": Verdict.NO_DATA},
            "backfilld enqueue 2021-10-27 --sources all",
        ),
    ],
)
def test_the_command_for_a_failed_date_is_one_that_helps(
    reason: str, unsatisfied: dict[str, Verdict], command: str
) -> None:
    assert helpful_command(date("2021-10-27"), reason, unsatisfied) == command


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({}, "run raw: 1 date lacks box, 1 date lacks summary, 1 date lacks other; see the plan"),
        ({"box": "no access"}, "run raw: 1 date lacks other; see the plan; box cannot be judged on 1 date"),
    ],
)
def test_what_is_compared_with_an_output_is_counted_where_that_one_runs_first(
    broken: dict[str, str], sentence: str
) -> None:
    compared: dict[str, Any] = {"after": ["box"], "expect": {"ratio": {"of": "box", "min": 1.0}}}
    made = pipeline(phase("raw", processor("box"), processor("summary", **compared), processor("other")))
    facts = FakeWarehouse(made, calendar=OPENING, broken=broken)
    facts.rows["summary", date("2021-10-26")] = 9
    report = validated(made, facts, "2021-10-26")
    assert report.next_action == sentence
    assert {step.processor for step in plan(report, made).steps} == set(
        re.findall("lacks (.*?)[,;]", sentence)
    )
