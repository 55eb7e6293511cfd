"""Plain lines for programs: one fact each, with a time, and nothing in them that a terminal would obey."""

import datetime as dt

import pytest

from backfilld.api.cli.logfmt import Fact, failed, held, lifting, summary
from backfilld.api.cli.output import sanitize_line
from backfilld.api.cli.snapshot import Snapshot, attempt_failure, date_failure

NOON = dt.datetime(2021, 10, 19, 12, tzinfo=dt.UTC)
PROGRESS = {
    "dates": {"total": 4, "done": 1, "failed": 1, "live": 2},
    "rate_per_hour": 31.25,
    "eta": "2021-10-19T12:04:00.000Z",
    "eta_method": "2 dates left at 31.3 an hour",
    "phases": [{"phase": "phase2", "satisfied": 5, "total": 20, "ratio": 0.25, "processors": []}],
    "seasons": [{"season": "2021-22", "total": 4, "done": 1, "failed": 1}],
    "paused": False,
    "regressed": 0,
    "stale": 2,
    "holds": [],
}
BACKFILL = {
    "id": 7,
    "status": "active",
    "start": "2021-10-19",
    "end": "2021-10-22",
    "stop_reason": None,
    "states": {"phase2": 2, "done": 1, "failed": 1},
}


def view(**changes) -> Snapshot:
    backfill = BACKFILL | changes.pop("backfill") if "backfill" in changes else None
    return Snapshot(at=NOON, progress=PROGRESS | changes, activity={}, backfill=backfill)


def test_a_summary_is_a_line_for_each_fact():
    assert [fact.line(NOON) for fact in summary(view(backfill={}))] == [
        "2021-10-19T12:00:00Z backfill id=7 status=active start=2021-10-19 end=2021-10-22"
        " phase2=2 done=1 failed=1",
        "2021-10-19T12:00:00Z dates total=4 done=1 failed=1 live=2 paused=false regressed=0 stale=2",
        "2021-10-19T12:00:00Z pace rate_per_hour=31.2 eta=2021-10-19T12:04:00.000Z"
        ' method="2 dates left at 31.3 an hour"',
        "2021-10-19T12:00:00Z phase name=phase2 satisfied=5 total=20 percent=25",
        "2021-10-19T12:00:00Z season name=2021-22 total=4 done=1 failed=1",
    ]


def test_a_hold_says_how_it_is_lifted():
    hold = {"actor": "engine", "since": "2021-10-19T11:00:00.000Z", "until": None}
    placed = [{**hold, "kind": "processor", "key": "box", "reason": "exit 1 five times"}]
    (fact,) = held(view(holds=placed))
    assert fact.line(NOON).endswith('command="backfilld release processor box"')
    assert lifting({**hold, "kind": "all", "key": "all"}) == "backfilld resume"
    assert lifting({**hold, "kind": "warehouse", "key": ""}) == "backfilld release warehouse"


def test_a_failed_attempt_says_its_code_its_last_line_and_where_to_look():
    attempt = {"id": 31, "processor": "box", "dates": ["2021-10-19"], "status": "exited", "exit_code": 1}
    told = attempt_failure({**attempt, "detail": "", "tail": "line\nupstream said 503\n"})
    assert failed(told).line(NOON) == (
        '2021-10-19T12:00:00Z failure what="2021-10-19 box" how="exited 1"'
        ' reason="exit 1: upstream said 503" command="backfilld logs 31"'
    )


def test_a_failed_date_says_why_and_where_to_look():
    told = date_failure({"date": "2021-10-19", "outcome": "exhausted", "reason": "box: 2 of 12 rows"})
    assert failed(told).values == {
        "what": "2021-10-19",
        "how": "exhausted",
        "reason": "box: 2 of 12 rows",
        "command": "backfilld status 2021-10-19",
    }


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2J\x1b]0;gone\x07hidden", "[2J ]0;gone hidden"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("abc\u202edef\u2028ghi\x9b31m", "abc def ghi 31m"),
        ("✓ 16 of 16 – good", "✓ 16 of 16 – good"),
    ],
)
def test_nothing_that_a_job_says_moves_the_cursor(said, shown):
    assert sanitize_line(said) == shown
    assert all(character.isprintable() for character in Fact("running", {"line": said}).line(NOON))


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "no"', '"say \\"no\\""'),
        (True, "true"),
        ("2021-10-19", "2021-10-19"),
    ],
)
def test_a_value_is_quoted_where_it_must_be(value, word):
    assert Fact("x", {"key": value}).line(NOON) == f"2021-10-19T12:00:00Z x key={word}"


@pytest.mark.parametrize(
    ("status", "states", "ended", "good"),
    [
        ("finished", {"done": 4}, True, True),
        ("finished", {"done": 3, "failed": 1}, True, False),
        ("stopped", {"done": 3, "failed": 1}, True, False),
        ("cancelled", {"done": 4}, True, False),
        ("paused", {"phase2": 4}, False, False),
        ("active", {"done": 4}, False, False),
    ],
)
def test_a_backfill_ends_well_when_it_is_finished_and_nothing_of_it_failed(status, states, ended, good):
    seen = view(backfill={"status": status, "states": states})
    assert (seen.ended, seen.good) == (ended, good)


def test_everything_ends_well_when_nothing_is_live_or_failed():
    quiet = {"total": 4, "done": 4, "failed": 0, "live": 0}
    assert view(dates=quiet).good
    assert not view(dates={**quiet, "failed": 1, "done": 3}).good
    assert not view(dates={**quiet, "live": 1}).ended
