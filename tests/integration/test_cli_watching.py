"""status, watch, enqueue --wait and audit against the real API of a simulated world."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from backfilld.api.cli import output, terminal_dashboard, watch_loop
from backfilld.api.cli.client import ApiError, Client
from backfilld.api.cli.progress_snapshot import take_snapshot
from backfilld.daemon.executors.attempt_files import FileLog
from tests.integration.api_world import listening
from tests.simulation.world import Work

STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S.*")
COLOUR = re.compile(r"\x1b\[[\d;]*3\d(;[\d;]*)?m")
RANGE = ("2021-10-27", "2021-10-29")
WAIT = ("enqueue", *RANGE, "--wait")


@pytest.fixture
def on_terminal(monkeypatch):
    """Make the command line write to a terminal of this size."""

    def terminal_of(width=100, height=40):
        monkeypatch.setattr(output.console, "_force_terminal", True)
        monkeypatch.setattr(output.console, "_width", width)
        monkeypatch.setattr(output.console, "_height", height)
        monkeypatch.setenv("TERM", "xterm-256color")

    return terminal_of


def fail(api, processor="box", date="2021-10-28"):
    """Let one job of the world exit 1 and write nothing."""

    def script(job):
        one = (job.env["BACKFILLD_PROCESSOR"], job.env["BACKFILLD_DATE"])
        return Work(code=1) if one == (processor, date) else api.world.well(job)

    api.world.script = script


def test_waiting_for_a_backfill_that_goes_well_ends_with_0_and_plain_lines(command):
    ended = command(*WAIT)
    assert ended.code == 0
    lines = ended.out.splitlines()[1:]
    assert all(STAMPED.fullmatch(line) and line.isprintable() for line in lines), lines
    assert ended.rows("backfill 1 is finished: 3 done of 2021-10-27..2021-10-29", "phase4 6/6 (100 %)")


def test_each_failure_is_printed_once_with_its_reason_and_the_command_that_shows_more(command, api):
    # Given a job that fails whenever it runs
    fail(api)
    # When an operator waits for its date among others
    ended = command(*WAIT)
    # Then the wait ends with 1, and every attempt and the date were printed once
    assert ended.code == 1
    attempts = ended.rows("✗ 2021-10-28 box exited 1 → backfilld logs")
    assert len(attempts) == len({line.split("→")[1] for line in attempts}) == 3
    (date,) = ended.rows("✗ 2021-10-28 exhausted")
    assert date.endswith("→ backfilld status 2021-10-28")


def test_earlier_failures_are_not_printed(command, api):
    fail(api, date="2021-10-27")
    assert command(*WAIT).code == 1
    assert "✗" not in command("enqueue", "2021-10-30", "--wait").out


def test_a_dry_run_is_printed_and_not_followed(command):
    ended = command(*WAIT, "--dry-run", "--json")
    assert (ended.code, json.loads(ended.out)["outcomes"]) == (0, {"enqueued": 3})


def test_watch_follows_one_backfill_or_everything_until_nothing_is_live(command, api):
    # Given a failed date, and another backfill under way
    fail(api)
    command(*WAIT)
    command("enqueue", "2021-10-30")
    # Then the exit code is of what was watched
    assert command("watch", "2").code == 0
    assert command("watch", "--until-done").code == 1
    assert command("watch", "1").code == 1


def test_watch_in_json_prints_a_document_a_line(command):
    command("enqueue", *RANGE)
    ended = command("watch", "--until-done", "--json")
    documents = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 0
    assert documents[-1]["progress"]["dates"] == {"total": 3, "done": 3, "failed": 0, "live": 0}


def test_a_daemon_that_is_restarted_is_waited_for(command, monkeypatch):
    # Given a daemon that answers no more for a while
    answers = iter([ApiError("no daemon answers"), ApiError("HTTP 503", 503)])

    def unavailable_at_first(client, scope):
        if (error := next(answers, None)) is not None:
            raise error
        return take_snapshot(client, scope)

    monkeypatch.setattr(watch_loop, "take_snapshot", unavailable_at_first)
    # Then that is printed once, and the wait goes on
    ended = command(*WAIT)
    assert ended.code == 0
    assert ended.err.count("trying again") == 1


def test_a_backfill_that_is_not_there_is_an_error(command):
    ended = command("watch", "99")
    assert (ended.code, "there is no backfill 99" in ended.err) == (1, True)


def test_a_hold_is_printed_when_it_is_placed_with_the_command_that_ends_it(command, api, monkeypatch):
    # Given a pause in the middle
    steps = iter(range(1000))

    def step(seconds):
        if (n := next(steps)) == 1:
            api.post("/v1/pause", {"reason": "warehouse maintenance"})
        elif n == 3:
            api.post("/v1/resume")
        api.world.step()

    monkeypatch.setattr(watch_loop.time, "sleep", step)
    ended = command(*WAIT)
    (hold,) = ended.rows("held: ")
    words = "held: everything is paused by anonymous: warehouse maintenance → backfilld resume"
    assert hold.endswith(words)


def test_status_is_plain_text_with_every_section(command, api):
    fail(api)
    command("enqueue", *RANGE)
    api.world.step()
    ended = command("status")
    assert all(line.isprintable() for line in ended.out.splitlines())
    assert ended.rows("0 of 3 dates done, 0 failed, 3 live")
    assert ended.rows("box 0/3 0 %")
    assert ended.rows("running ▷ 2021-10-27 box", "#1")
    assert ended.rows("waiting ")
    assert ended.rows("1 active 2021-10-27..2021-10-29")


def test_status_of_a_date_shows_all_of_it(command, api, on_terminal):
    # Given a date that failed, with a gap that was accepted
    fail(api)
    command(*WAIT)
    api.post("/v1/dates/2021-10-28/accept", {"processor": "box", "reason": "the source never had it"})
    # Then a pipe gets plain text
    plain = command("status", "2021-10-28")
    assert all(line.isprintable() for line in plain.out.splitlines())
    assert plain.rows("2021-10-28 ")
    assert plain.rows("#", "box", "exit 1 · failed")
    assert plain.rows("exited 1 → backfilld logs")
    assert plain.rows("→ failed")
    # And a terminal shows the same
    on_terminal(width=80)
    shown = command("status", "2021-10-28").out
    for words in (
        "3 games",
        "day 9",
        "exit 1",
        "→ backfilld logs",
        "waived by",
        "history",
        "0 of at least 1",
    ):
        assert words in shown, shown
    # And what is longer than a line goes on below it, indented
    assert max(map(len, shown.splitlines())) <= 80
    moved = next(n for n, line in enumerate(shown.splitlines()) if "→ failed" in line)
    assert shown.splitlines()[moved + 1].startswith("      ")


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (140, 45)])
def test_a_picture_keeps_to_the_terminal_it_is_shown_on(command, api, size):
    # Given a run with jobs, a failure and a hold
    fail(api)
    command("enqueue", *RANGE)
    api.world.step()
    api.post("/v1/pause", {"reason": "warehouse maintenance"})
    # When it is drawn at some width
    width, height = size
    console = Console(width=width, height=height, force_terminal=True, no_color=True)
    with console.capture() as captured:
        console.print(terminal_dashboard.picture(take_snapshot(Client(os.environ["BACKFILLD_URL"])), console))
    # Then no line is longer than that, and what matters stands there
    lines = re.sub(r"\x1b\[[\d;]*m", "", captured.get()).splitlines()
    assert max(map(len, lines)) <= width
    for words in ("0 of 3 dates done", "phase2", "phase4", "season", "▷ 2021-10-27", "→ backfilld resume"):
        assert any(words in line for line in lines), lines
    # A picture that stays cuts off nothing of what dates wait for
    with console.capture() as captured:
        console.print(
            terminal_dashboard.picture(
                take_snapshot(Client(os.environ["BACKFILLD_URL"])), console, whole=True
            )
        )
    assert "…" not in captured.get().partition("pace")[2]


def test_on_a_terminal_failures_scroll_by_above_the_picture(command, api, on_terminal):
    fail(api)
    on_terminal()
    ended = command(*WAIT)
    assert ended.code == 1
    assert ended.out.count("2021-10-28 exhausted") == 1
    assert ended.out.count("→ backfilld status 2021-10-28") == 1
    assert "backfill 1 is finished: 2 done, 1 failed" in ended.out


def test_a_log_is_printed_as_it_is_and_on_a_terminal_without_what_would_steer_it(
    command, api, monkeypatch, on_terminal, tmp_path
):
    # Given a job that sets the terminal's title, and goes on in the middle of a character
    log, last = tmp_path / "1.log", "\x1b]0;mine\x07gr\u00f6\u00dfer\n".encode()
    monkeypatch.setattr(api.world.executor, "log", lambda number: FileLog(log))

    def write_on(seconds):
        log.write_bytes(last)
        api.world.run()

    monkeypatch.setattr(watch_loop.time, "sleep", write_on)
    command("enqueue", "2021-10-27")
    api.world.settle()
    # Then a file gets every byte of it, and a terminal what can be read
    log.write_bytes(last)
    assert command("logs", "1").out.encode() == last
    log.write_bytes(last[:-4])
    on_terminal()
    assert command("logs", "1", "--follow").out == " ]0;mine gr\u00f6\u00dfer\n"


def test_a_dumb_terminal_gets_plain_lines(command, on_terminal, monkeypatch):
    on_terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert "\x1b" not in command(*WAIT).out


def test_ctrl_c_leaves_the_daemon_alone_and_says_so_and_no_color_is_honoured(api):
    # Given a watch on a real terminal whose owner wants no colours
    api.enqueue(*RANGE)
    api.world.settle()
    with listening(api.app) as url:
        ours, theirs = pty.openpty()
        environment = {**os.environ, "BACKFILLD_URL": url, "NO_COLOR": "1", "TERM": "xterm-256color"}
        # Whoever runs the tests in the background may have the signal ignored
        words = ["env", "--default-signal=INT", sys.executable, "-m", "backfilld", "watch"]
        process = subprocess.Popen(
            words, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, text=True, env=environment
        )
        os.close(theirs)
        # When it has drawn its picture, and gets Ctrl-C
        seen = b""
        while "0 of 3 dates done" not in seen.decode(errors="replace"):
            seen += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal is closed
            while more := os.read(ours, 65536):
                seen += more
        _, said = process.communicate()
        os.close(ours)
        # Then it ends with the code of an interrupt, in one line, and everything goes on
        assert process.returncode == 130
        assert said.strip() == "the daemon continues; watch again with: backfilld watch"
        assert not COLOUR.search(seen.decode(errors="replace"))
        assert api.get("/v1/progress")["dates"]["live"] == 3


def test_the_audit_shows_what_changed(command):
    command("enqueue", *RANGE, "--note", "a try")
    command("pause", "1")
    command("accept", "2021-10-28", "box", "--reason", "lost")
    _, accepted, paused, enqueued = command("audit").out.splitlines()
    assert accepted.endswith("accepted.by: anonymous; accepted.reason: lost")
    assert paused.endswith("  status: active -> paused; paused: false -> true")
    assert enqueued.endswith("sources: all; force: false; priority: 0; note: a try; outcomes.enqueued: 3")


def test_an_unknown_processor_is_refused_with_complete_names(command):
    printed = command("accept", "2021-10-28", "nosuch", "--reason", "lost")
    assert printed.err == "backfilld: there is no processor 'nosuch'; known are box, extra, zones, cache\n"
    printed = command("accept", "2021-10-28", "boxes", "--reason", "lost")
    assert printed.err == "backfilld: there is no processor 'boxes'; did you mean 'box'?\n"
