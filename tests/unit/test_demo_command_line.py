"""The command lines of the demo's jobs disagree the way the real ones do."""

from datetime import date
from pathlib import Path

import pytest

from backfilld.demo.job_options import BadDates, CommandLine

SEASON = [date(2021, 10, 19), date(2021, 10, 20), date(2021, 10, 22)]


def chosen(command_line: CommandLine, *arguments: str) -> list[date]:
    return command_line.dates_from(command_line.parser(None).parse_args(arguments), SEASON)


def refused(command_line: CommandLine, *arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as stopped:
        chosen(command_line, *arguments)
    return stopped.value.code


def test_a_range_holds_every_calendar_day_of_it() -> None:
    found = chosen(CommandLine(), "--start-date", "2021-10-20", "--end-date", "2021-10-22")
    assert found == [date(2021, 10, 20), date(2021, 10, 21), date(2021, 10, 22)]


def test_a_start_without_an_end_is_one_day() -> None:
    assert chosen(CommandLine(), "--start-date", "2021-10-20") == [date(2021, 10, 20)]


def test_no_dates_at_all_means_the_whole_season() -> None:
    assert chosen(CommandLine()) == SEASON


def test_a_job_without_an_end_goes_on_to_the_end_of_the_season() -> None:
    endless = CommandLine(end=None, days="--days")
    assert chosen(endless, "--start-date", "2021-10-20") == SEASON[1:]
    assert chosen(endless, "--start-date", "2021-10-20", "--days", "1") == [SEASON[1]]
    assert refused(endless, "--start-date", "2021-10-20", "--end-date", "2021-10-20") == 2


def test_a_list_of_dates_goes_before_a_range_and_is_sorted() -> None:
    found = chosen(
        CommandLine(dates="--dates"), "--dates", "2021-10-22,2021-10-19", "--start-date", "2021-10-20"
    )
    assert found == [SEASON[0], SEASON[2]]


def test_a_file_has_one_date_a_line(tmp_path: Path) -> None:
    (tmp_path / "dates.txt").write_text("2021-10-22\n2021-10-19\n")
    wants_file = CommandLine(start=None, end=None, dates_file="--dates-file", required=True)
    assert chosen(wants_file, "--dates-file", str(tmp_path / "dates.txt")) == [SEASON[0], SEASON[2]]
    assert refused(wants_file) == 2
    assert refused(wants_file, "--start-date", "2021-10-20") == 2
    with pytest.raises(BadDates, match="cannot read"):
        chosen(wants_file, "--dates-file", str(tmp_path / "missing.txt"))


@pytest.mark.parametrize("argument", ["--start", "--start_date", "--parallel"])
def test_an_option_that_is_not_spelled_in_full_is_unknown(argument: str) -> None:
    assert refused(CommandLine(), argument, "2021-10-20") == 2


@pytest.mark.parametrize(
    ("start", "end"), [("2021-10-32", "2021-11-01"), ("2021-10-22", "2021-10-20"), ("x", "y")]
)
def test_malformed_and_inverted_dates_are_refused(start: str, end: str) -> None:
    with pytest.raises(BadDates):
        chosen(CommandLine(), "--start-date", start, "--end-date", end)


def test_options_of_the_real_job_are_accepted() -> None:
    job = CommandLine(switches=("--no-resume",), values={"--workers": "15"})
    found = chosen(job, "--start-date", "2021-10-20", "--no-resume", "--workers", "4", "--dry-run")
    assert found == [date(2021, 10, 20)]
