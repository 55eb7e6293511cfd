"""Check commands as real processes: how they end, what is kept of their logs, and that none is left."""

import datetime as dt
import signal
import subprocess
import sys
import threading

import pytest

from backfilld.daemon.executors.check_command_runner_interface import CheckCommand
from backfilld.daemon.executors.local.check_command_runner import LOG_BYTES, CheckProcesses, log_file
from tests.integration.real_jobs import lives, until
from tests.timeouts import PATIENCE

PAIR = dt.date(2024, 3, 1), "box"
NAMES = ("one", "two")


@pytest.fixture
def checks(tmp_path):
    ended = threading.Event()
    processes = CheckProcesses(tmp_path, on_end=ended.set)
    processes.ended = ended
    yield processes
    processes.close()


def command(folder, *argv, **keys):
    """A check command; one word is a script of the shell."""
    words = ("sh", "-c", argv[0]) if len(argv) == 1 else argv
    settings = {"cwd": folder, "env": {}, "timeout": PATIENCE, "grace_period": 0.2, **keys}
    return CheckCommand(pair=PAIR, subject="now", argv=words, **settings)


def result(checks, one):
    """The exit code and the line that a verdict shows."""
    checks.start(one)
    assert checks.ended.wait(PATIENCE)
    (end,) = checks.poll()
    assert (end.pair, end.subject, set(checks.running)) == (PAIR, "now", set())
    return end.exit_code, end.detail


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo all is well", (0, "all is well")),
        ("echo first; printf '\\033[31mFAIL 2\\033[0m of orders\\n' >&2; exit 1", (1, "FAIL 2 of orders")),
        ("kill -SEGV $$", (139, "")),
        ('read line; echo "read: $?"; exit 3', (3, "read: 1")),
    ],
)
def test_a_check_is_its_exit_code_and_the_last_line_of_its_log(checks, tmp_path, script, expected):
    code, line = result(checks, command(tmp_path, script))
    assert (code, line if expected[1] else "") == expected


def test_the_error_pattern_of_the_job_chooses_the_line_of_a_failure(checks, tmp_path):
    script = "echo Failure in test unique_orders; echo; echo Done. PASS=0; exit 1"
    assert result(checks, command(tmp_path, script, error_pattern="^Failure")) == (
        1,
        "Failure in test unique_orders",
    )


@pytest.mark.parametrize(
    ("argv", "keys", "reason"),
    [
        (("no-such-program", "x"), {}, "the program no-such-program does not exist or cannot be executed"),
        (("./check.sh", "x"), {}, "the program ./check.sh does not exist or cannot be executed"),
        (("true", "\0"), {}, "embedded null byte"),
        (("true", "x"), {"cwd": "gone"}, "its cwd {cwd} is not a folder"),
    ],
)
def test_a_check_that_cannot_run_says_why(checks, tmp_path, argv, keys, reason):
    keys = {name: tmp_path / path for name, path in keys.items()}
    assert result(checks, command(tmp_path, *argv, **keys)) == (127, reason.format(**keys))


def test_a_check_that_the_host_cannot_start_now_has_no_exit_code(checks, tmp_path):
    (tmp_path / "checks").write_text("a file where the folder of logs belongs")
    assert result(checks, command(tmp_path, "true")) == (None, "could not start: Not a directory")


def test_a_check_that_takes_too_long_is_ended_with_its_children(checks, tmp_path):
    # Given a check that ignores SIGTERM and starts a child
    script = "trap '' TERM; sleep 600 & echo $! > child; {}wait; wait"
    for prints, printed in (("echo 1 of 2 START; ", ": 1 of 2 START"), ("", " and printed nothing")):
        code, reason = result(checks, command(tmp_path, script.format(prints), timeout=0.3))
        remedy = "raise its timeout, or run it by hand"
        assert (code, reason) == (None, f"did not end within 0.3 s{printed}; {remedy}")
        checks.ended.clear()
    until(lambda: not lives(int((tmp_path / "child").read_text())))


@pytest.mark.parametrize(
    "escape", ["", "setsid", "setsid env -i PATH=$PATH", "env -i PATH=$PATH nohup setsid"]
)
def test_what_a_check_leaves_behind_is_ended_with_it(checks, tmp_path, escape):
    script = f"{escape} sh -c 'echo $$ > child.new; mv child.new child; exec sleep 600' >/dev/null 2>&1 &"
    wait = "until test -e child; do sleep 0.01; done; exit 0"
    assert result(checks, command(tmp_path, f"{script} {wait}")) == (0, "")
    until(lambda: not lives(int((tmp_path / "child").read_text())))


def test_the_words_of_a_command_are_no_script_and_its_environment_is_the_one_of_jobs(
    checks, tmp_path, monkeypatch
):
    monkeypatch.setenv("SECRET", "of the daemon")
    script = 'import os, sys; print(sys.argv[1:], os.environ.get("SECRET"), os.environ["TARGET"])'
    one = command(tmp_path, sys.executable, "-c", script, "$(id); '", env={"TARGET": "prod"})
    assert result(checks, one) == (0, '["$(id); \'"] None prod')


def test_a_log_is_bounded_and_keeps_its_end(checks, tmp_path):
    script = f"head -c {3 * LOG_BYTES} /dev/zero | tr '\\0' x; echo; echo the end; exit 1"
    assert result(checks, command(tmp_path, script)) == (1, "the end")
    log = log_file(tmp_path, PAIR)
    assert log.stat().st_size <= LOG_BYTES
    assert "bytes were dropped here" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_log_is_that_of_the_latest_run_whatever_stands_in_its_place(checks, tmp_path):
    # Given that a check has put a link to another file in the place of its log
    other = tmp_path / "other"
    other.write_text("untouched")
    log = log_file(tmp_path, PAIR)
    result(checks, command(tmp_path, f"ln -sf {other} {log}"))
    checks.ended.clear()
    result(checks, command(tmp_path, "echo again"))
    assert (log.read_text(), other.read_text()) == ("again\n", "untouched")


def test_checks_end_with_the_daemon_whether_it_is_stopped_or_killed(checks, tmp_path):
    # Given a running check of this daemon and one of another
    checks.start(command(tmp_path, "echo $$ > one; sleep 600"))
    program = (
        "import datetime, pathlib, sys\n"
        "script = 'echo $$ > two; sleep 600'\n"
        "from backfilld.daemon.executors.check_command_runner_interface import CheckCommand\n"
        "from backfilld.daemon.executors.local.check_command_runner import CheckProcesses\n"
        "here = pathlib.Path(sys.argv[1])\n"
        "CheckProcesses(here / 'state').start(CheckCommand(\n"
        "    pair=(datetime.date(2024, 3, 1), 'box'), subject='', argv=('sh', '-c', script),\n"
        "    cwd=here, env={}, timeout=600, grace_period=9))\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE) as other:
        until(lambda: all((tmp_path / name).exists() and (tmp_path / name).read_text() for name in NAMES))
        pids = [int((tmp_path / name).read_text()) for name in NAMES]
        # When this one stops, and the other one is killed
        checks.close()
        other.send_signal(signal.SIGKILL)
    # Then neither is left
    for pid in pids:
        until(lambda pid=pid: not lives(pid))
