"""`backfilld list`: dates by state, outcome or mark, as a table, CSV or JSON."""

import csv
import io
import json

import pytest

from tests.integration.api_world import Api, make_api
from tests.integration.command_line import CommandLine
from tests.simulation.world import Work

RANGE = ("2021-10-27", "2021-10-29")


@pytest.fixture(scope="module")
def api(tmp_path_factory) -> Api:
    """A daemon with one failed date between two done ones."""
    api = make_api(tmp_path_factory.mktemp("api"))

    def script(job):
        return Work(code=1) if job.env["BACKFILLD_DATE"] == "2021-10-28" else api.world.well(job)

    api.world.script = script
    api.enqueue(*RANGE)
    api.world.run()
    return api


@pytest.mark.parametrize(
    ("options", "dates"),
    [
        ([], ["2021-10-27", "2021-10-28", "2021-10-29"]),
        (["--state", "failed"], ["2021-10-28"]),
        (["--state", "done,failed", "--since", "2021-10-28"], ["2021-10-28", "2021-10-29"]),
        (["--outcome", "complete"], ["2021-10-27", "2021-10-29"]),
        (["--until", "2021-10-27"], ["2021-10-27"]),
        (["--mark", "stale"], []),
    ],
)
def test_dates_are_listed_by_state_outcome_mark_and_range(command: CommandLine, options, dates):
    listed = json.loads(command("list", *options, "--json").out)
    assert [row["date"] for row in listed["items"]] == dates
    assert listed["dates"] == len(dates)


def test_the_table_has_the_reason_of_each_date(command: CommandLine):
    header, first, failed, last = command("list").out.splitlines()
    assert header.split() == ["date", "state", "outcome", "reason"]
    assert first.split() == ["2021-10-27", "done", "complete"]
    assert failed.startswith("2021-10-28  failed  exhausted  box: ")
    assert last.split() == ["2021-10-29", "done", "complete"]


def test_csv_has_a_row_for_each_date_under_the_names_of_the_api(command: CommandLine):
    rows = list(csv.DictReader(io.StringIO(command("list", "--csv").out)))
    assert [(row["date"], row["state"], row["outcome"]) for row in rows] == [
        ("2021-10-27", "done", "complete"),
        ("2021-10-28", "failed", "exhausted"),
        ("2021-10-29", "done", "complete"),
    ]
    assert rows[1]["reason"].startswith("box: ")
    assert rows[0]["regressed"] == rows[0]["waiting_on"] == ""


def test_a_state_that_does_not_exist_is_refused_with_a_suggestion(command: CommandLine):
    refused = command("list", "--state", "faild")
    assert refused.code == 2
    assert "there is no state 'faild'; did you mean 'failed'?" in refused.err
