"""Plain text where stdout is no terminal, without control characters."""

import datetime as dt

import pytest

from backfilld.api.cli.client import ApiError
from backfilld.api.cli.output import sanitize_line, table
from backfilld.api.cli.progress_snapshot import Failure, Snapshot, attempt_failure, date_failure
from backfilld.api.cli.terminal_dashboard import plain_lines, release_command
from backfilld.api.cli.watch_loop import FailureLines, JsonLines, PlainLines

NOON = dt.datetime(2021, 10, 19, 12, tzinfo=dt.UTC)
LATER = (NOON + dt.timedelta(minutes=4)).astimezone()
BOX = {"processor": "box", "satisfied": 2, "waived": 0, "total": 4}
BOX |= {"verdicts": {"complete": 2, "partial": 2}}
BUDGET = {"kind": "table", "key": "nba.box", "limit": 5, "extra": 1, "spent": 2}
ACTIVITY = {
    "stuck": False,
    "running": [
        {"id": 31, "processor": "box", "dates": ["2021-10-19"], "age_seconds": 5.0, "last_line": "half way"}
    ],
    "waiting": [{"dates": 2, "first": "2021-10-20", "waiting_on": "a slot of phase2"}],
}
PROGRESS = {
    "dates": {"total": 4, "done": 1, "failed": 1, "live": 2},
    "outcomes": {"complete": 1, "exhausted": 1},
    "rate_per_hour": 31.25,
    "eta": "2021-10-19T12:04:00.000Z",
    "eta_method": "2 dates left at 31.3 an hour",
    "phases": [{"phase": "phase2", "satisfied": 5, "total": 20, "ratio": 0.25, "processors": [BOX]}],
    "seasons": [{"season": "2021-22", "total": 4, "done": 1, "failed": 1}],
    "paused": False,
    "regressed": 0,
    "stale": 2,
    "holds": [],
    "problems": [],
    "budgets": [],
}
BACKFILL = {
    "id": 7,
    "status": "active",
    "start": "2021-10-19",
    "end": "2021-10-22",
    "stop_reason": None,
    "stuck_on": None,
    "note": "",
    "states": {"phase2": 2, "done": 1, "failed": 1},
    "outcomes": {"complete": 1, "exhausted": 1},
}


def view(**changes) -> Snapshot:
    backfill = BACKFILL | changes.pop("backfill") if "backfill" in changes else None
    return Snapshot(at=NOON, progress=PROGRESS | changes, activity=ACTIVITY, backfill=backfill)


def printed(*views: Snapshot, failures: tuple[Failure, ...] = ()) -> list[str]:
    """The lines of a backfill that is followed where stdout is no terminal."""
    lines: list[str] = []
    display = PlainLines(lines.append)
    for number, shown in enumerate(views):
        for failure in failures:
            display.show_failure(failure, shown)
        display.show_snapshot(shown, last=number == len(views) - 1)
    return lines


def test_the_progress_is_a_line_with_its_time():
    assert printed(view(backfill={})) == [
        "2021-10-19T12:00:00Z backfill 7 is active: 2 phase2, 1 done, 1 failed of 2021-10-19..2021-10-22;"
        f" phase2 5/20 (25 %); ETA in 4 min 0 s, at {LATER:%H:%M %Z} (2 dates left at 31.3 an hour)"
    ]


def test_a_progress_that_has_not_changed_is_not_printed_again():
    assert len(printed(view(), view(), view())) == 1


def test_a_problem_of_the_daemon_is_shown_beside_what_dates_wait_for():
    full = "the disk is full; make room"
    assert printed(view(problems=[full]))[0].endswith(f"; problem: {full}")
    assert f"problem   {full}" in list(plain_lines(view(problems=[full])))


def test_the_sections_of_the_picture_are_plain_lines():
    assert list(plain_lines(view(paused=True, budgets=[BUDGET]))) == [
        "1 of 4 dates done, 1 failed, 2 live, paused",
        "phase2               5/20   25 %",
        "  box                 2/4   50 %  ⚠ 2",
        "season 2021-22        1/4   25 %  ✗ 1 failed",
        "pace      31 dates an hour",
        f"ETA       in 4 min 0 s, at {LATER:%H:%M %Z} (2 dates left at 31.3 an hour)",
        "running   ▷ 2021-10-19 box 5.0 s #31 half way",
        "waiting       2 first 2021-10-20: a slot of phase2",
        "stale     2 dates → backfilld retry --stale",
        "budget    table nba.box: 2 of 5 + 1 used today",
    ]


def test_a_hold_is_printed_once_with_the_command_that_releases_it():
    hold = {"actor": "engine", "since": "2021-10-19T11:00:00.000Z", "until": None}
    placed = view(holds=[{**hold, "kind": "processor", "key": "box", "text": "box: exit 1 five times"}])
    held = [line for line in printed(placed, placed) if "held" in line]
    assert held == ["2021-10-19T12:00:00Z held: box: exit 1 five times → backfilld release processor box"]
    assert release_command({**hold, "kind": "all", "key": "all"}) == "backfilld resume"
    assert release_command({**hold, "kind": "warehouse", "key": ""}) == "backfilld release warehouse"


def test_a_failed_attempt_is_printed_with_its_code_its_last_line_and_the_command_for_its_log():
    attempt = {"id": 31, "processor": "box", "dates": ["2021-10-19"], "status": "exited", "exit_code": 1}
    attempt |= {"verdict": "never_ran", "verdict_reason": ""}
    failure = attempt_failure({**attempt, "detail": "", "last_line": "upstream said 503"})
    assert printed(view(), failures=(failure,))[0] == (
        "2021-10-19T12:00:00Z ✗ 2021-10-19 box exited 1: upstream said 503 → backfilld logs 31"
    )


def test_a_job_that_was_killed_is_printed_with_its_status_and_its_code():
    attempt = {"id": 31, "processor": "box", "dates": ["2021-10-19"], "status": "timed_out", "exit_code": 143}
    attempt |= {"verdict": None, "verdict_reason": "", "detail": "", "last_line": "half"}
    failure = attempt_failure(attempt)
    assert (failure.result, failure.reason) == ("timed_out", "exit 143: half")


def test_an_attempt_that_exited_0_is_printed_with_what_it_left():
    attempt = {"id": 31, "processor": "box", "dates": ["2021-10-19"], "status": "exited", "exit_code": 0}
    attempt |= {"verdict": "partial", "verdict_reason": "2 of 14 rows", "detail": ""}
    failure = attempt_failure({**attempt, "last_line": "done"})
    assert printed(view(), failures=(failure,))[0] == (
        "2021-10-19T12:00:00Z ⚠ 2021-10-19 box exit 0 · 2 of 14 rows → backfilld logs 31"
    )


@pytest.mark.parametrize(
    ("code", "result", "reason"),
    [
        (0, "exit 0 · no rows", "2 processes that it left behind were ended"),
        (1, "exited 1", "submitted; 2 processes that it left behind were ended"),
    ],
)
def test_an_attempt_is_printed_with_what_it_left_behind(code, result, reason):
    attempt = {"id": 31, "processor": "box", "dates": ["2021-10-19"], "status": "exited", "exit_code": code}
    attempt |= {"verdict": "no_data", "verdict_reason": "", "last_line": "submitted"}
    failure = attempt_failure({**attempt, "detail": "2 processes that it left behind were ended"})
    assert (failure.result, failure.reason) == (result, reason)


def test_dates_that_are_done_with_a_waiver_are_counted_beside_the_others():
    waived = {"complete": 1, "waived": 2}
    of_box = PROGRESS["phases"][0] | {"processors": [BOX | {"satisfied": 4, "waived": 2}]}
    shown = view(outcomes=waived, phases=[of_box], dates={"total": 4, "done": 3, "failed": 1, "live": 0})
    lines = list(plain_lines(shown))
    assert lines[0] == "3 of 4 dates done (2 waived), 1 failed, 0 live"
    assert lines[2] == "  box                 4/4  100 %  ⚠ 2  2 waived"
    ended = view(backfill={"status": "finished", "states": {"done": 3, "failed": 1}, "outcomes": waived})
    assert (
        "backfill 7 is finished: 3 done (2 waived), 1 failed of 2021-10-19..2021-10-22" in printed(ended)[0]
    )


def test_a_failed_date_has_its_reason_and_the_command_that_shows_it():
    date = {"date": "2021-10-19", "outcome": "exhausted", "reason": "box: 2 of 12 rows"}
    assert date_failure(date) == Failure(
        subject="2021-10-19",
        result="exhausted",
        reason="box: 2 of 12 rows",
        command="backfilld status 2021-10-19",
        document={"date": date},
    )


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[2J\x1b]0;gone\x07hidden", "[2J ]0;gone hidden"),
        ("one\r\ntwo\tthree", "one  two three"),
        ("abc\u202edef\u2028ghi\x9b31m", "abc def ghi 31m"),
        ("✓ 16 of 16 – good", "✓ 16 of 16 – good"),
    ],
)
def test_no_text_of_a_job_moves_the_cursor(said, shown):
    assert sanitize_line(said) == shown
    failure = Failure(subject="box", result="lost", reason=said, command="backfilld logs 1", document={})
    assert all(line.isprintable() for line in printed(view(), failures=(failure,)))


def test_a_table_is_aligned_and_never_wrapped(capsys):
    table("", ["date", "reason"], [["2021-10-19", "a reason " * 20], ["x", "y"]])
    header, first, second = capsys.readouterr().out.splitlines()
    assert (header, second) == ("date        reason", "x           y")
    assert first == f"2021-10-19  {('a reason ' * 20).strip()}"


@pytest.mark.parametrize(
    ("status", "states", "ended", "succeeded"),
    [
        ("finished", {"done": 4}, True, True),
        ("finished", {"done": 3, "failed": 1}, True, False),
        ("stopped", {"done": 3, "failed": 1}, True, False),
        ("cancelled", {"done": 4}, True, False),
        ("paused", {"phase2": 4}, True, False),
        ("stuck", {"phase2": 4}, True, False),
        ("active", {"done": 4}, False, False),
    ],
)
def test_a_backfill_succeeded_when_it_is_finished_without_a_failed_date(status, states, ended, succeeded):
    shown = view(backfill={"status": status, "states": states})
    assert (shown.ended, shown.succeeded) == (ended, succeeded)


def test_everything_succeeded_when_no_date_is_live_or_failed():
    quiet = {"total": 4, "done": 4, "failed": 0, "live": 0}
    assert view(dates=quiet).succeeded
    assert not view(dates={**quiet, "failed": 1, "done": 3}).succeeded
    assert not view(dates={**quiet, "live": 1}).ended


def test_failures_alone_name_each_outage_of_the_daemon_once(capsys: pytest.CaptureFixture[str]) -> None:
    display = FailureLines(as_json=False)
    view = Snapshot(at=NOON, progress=PROGRESS, activity=ACTIVITY)
    for _ in range(2):
        display.show_unavailable(ApiError("no daemon answers"))
        display.show_unavailable(ApiError("no daemon answers"))
        display.show_snapshot(view, last=False)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", 2 * "no daemon answers; trying again\n")


def test_json_lines_name_an_outage_once_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    display = JsonLines()
    display.show_unavailable(ApiError("no daemon answers"))
    display.show_unavailable(ApiError("no daemon answers"))
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "no daemon answers; trying again\n")
