"""The command line as its users meet it: exit codes, plain lines, JSON, and errors without tracebacks."""

import json

import pytest
from rich.text import Text

from backfilld.api.cli import output
from backfilld.api.cli.commands import status_watch_and_list_dates
from backfilld.daemon.executors.adapter import Job
from backfilld.daemon.executors.local.launcher import allowed_variables, environment
from backfilld.demo import environment as demo_environment
from backfilld.state.store.leader_election import FILE, FileLock, Holder
from tests.integration.api_with_tokens import make_door
from tests.integration.api_world import listening
from tests.integration.command_line import CommandLine


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `backfilld WORDS` in this process: its exit code, output and errors."""
    monkeypatch.delenv("BACKFILLD_URL", raising=False)
    line = CommandLine(monkeypatch, capsys)

    def call(*words):
        ended = line(*words)
        return ended.code, ended.out, ended.err

    return call


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return str(demo_environment.prepare(tmp_path_factory.mktemp("stage") / "demo"))


def test_a_good_pipeline_file_is_shown_with_its_states(command, stage):
    code, out, _ = command("pipeline", "check", "--pipeline", stage)
    assert code == 0
    assert "phase4-step-4: player_daily_cache" in out
    assert "-->" not in out


def test_the_states_of_a_pipeline_file_are_drawn_as_mermaid(command, stage):
    code, out, _ = command("pipeline", "diagram", "--pipeline", stage)
    assert code == 0
    assert out.startswith("stateDiagram")
    assert "pending --> phase2: admit" in out


def test_a_mistake_in_a_pipeline_file_is_printed_with_key_and_remedy(command, tmp_path, stage):
    bad = tmp_path / "bad.toml"
    with open(stage, encoding="utf-8") as file:
        bad.write_text(file.read().replace("slots", "slotz", 1), encoding="utf-8")
    code, _, err = command("pipeline", "check", "--pipeline", str(bad))
    assert code == 1
    assert "jobs: unknown key 'slotz'; did you mean 'slots'?" in err


def test_validate_needs_no_daemon_and_exits_1_where_data_is_missing(command, stage):
    code, out, _ = command("validate", "2021-10-15", "2021-10-28", "--pipeline", stage)
    assert code == 1
    assert "2021-10-15..2021-10-28: 10 of 14 dates expected, 7 of them in bootstrap" in out
    assert "next: " in out


def test_validate_in_json_has_every_processor(command, stage):
    _, out, _ = command("validate", "2021-10-19", "--pipeline", stage, "--json")
    report = json.loads(out)
    assert sum(len(phase["processors"]) for phase in report["phases"]) == 14
    assert report["phases"][0]["processors"][0]["verdicts"]["never_ran"] == 1


def test_nothing_is_there_before_the_season(command, stage):
    code, out, _ = command("validate", "2021-10-15", "--pipeline", stage)
    assert code == 0
    assert "0 of 1 date expected" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["enqueue", "yesterday"], "'yesterday' is not a date; write it like 2021-10-19"),
        (["enqueue", "20211019"], "'20211019' is not a date; write it like 2021-10-19"),
        (
            ["retry", "2021-W42-2"],
            "'2021-W42-2' is neither a date like 2021-10-19 nor the number of",
        ),
        (["serve"], "give --pipeline FILE or set BACKFILLD_PIPELINE"),
        (["serve", "--pipeline", "p.toml", "--state-dir", "s", "--listen", "8484"], "is not HOST:PORT"),
        (
            ["validate", "2021-10-20", "2021-10-19", "--pipeline", "p.toml"],
            "2021-10-19 is before START 2021-10-20",
        ),
        (["accept", "2021-10-20", "p"], "Missing option '--reason'"),
        (["demo", "--pace", "slow"], "'slow' is not a valid float"),
        (["retry", "7", "--force"], "backfill 7 is retried as a whole; leave the other options out"),
        (["retry", "7", "--processor", "box"], "backfill 7 is retried as a whole"),
        (["retry"], "give a date, a range or a backfill, or a filter such as --state failed"),
        (["retry", "2021-10-19", "soon"], "'soon' is not a date; write it like 2021-10-19"),
        (["accept", "--reason", "lost"], "give a date, a range, or a filter such as --verdict no_data"),
        (["accept", "p", "2021-10-19", "--reason", "lost"], "give START, END and PROCESSOR in this order"),
        (["retry", "foo"], "'[WHAT]': 'foo' is neither a date like 2021-10-19 nor the number of a backfill"),
        (["logs", "foo"], "'WHAT': 'foo' is neither a date like 2021-10-19 nor the number of an attempt"),
        (["logs", "foo", "box"], "'WHAT': 'foo' is neither a date"),
        (["logs", "2021-10-19"], "give a date and PROCESSOR, or the number of an attempt alone"),
        (["logs", "7", "box"], "give a date and PROCESSOR, or the number of an attempt alone"),
        (["cancel", "x"], "'BACKFILL': 'x' is not the number of a backfill; `backfilld status` lists them"),
        (["release", "slot", "x"], "Invalid value for 'KIND': 'slot' is not one of 'processor', 'table'"),
        (["backup", "--state-dir", "/nowhere"], "no state database in /nowhere; correct --state-dir"),
        (["pause", "7", "--reason", "lunch"], "leave --reason out"),
        (["release", "processor"], "release processor and release table need one"),
        (["release", "warehouse", "box"], "release warehouse takes no KEY"),
        (["hold", "table", "--reason", "x"], "hold processor and hold table need one"),
        (["hold", "processor", "box"], "Missing option '--reason'"),
        (["list", "--csv", "--json"], "give --csv or --json, not both"),
        (["logs", "7", "--follow", "--json"], "give --follow or --json, not both"),
        (["list", "--outcome", "lost"], "'lost' is not one of 'complete'"),
    ],
)
def test_wrong_use_exits_2_and_says_what_is_right(command, words, message):
    code, _, err = command(*words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_a_demo_empties_no_folder_with_other_files(command, tmp_path):
    # Given the folder of a platform, with its own lake and state
    (tmp_path / "lake").mkdir()
    (tmp_path / "weather.toml").write_text("years of work")
    # When a demo starts there
    code, _, err = command("demo", "--folder", tmp_path, "--listen", "nowhere")
    # Then it is refused, and nothing is gone
    assert (code, (tmp_path / "weather.toml").read_text()) == (2, "years of work")
    assert "--folder" in err
    assert "would be lost" in err


def test_a_demo_is_not_emptied_under_its_daemon(command, tmp_path):
    # Given an earlier demo whose daemon still runs
    for name in ("lake", "state"):
        (tmp_path / name).mkdir()
    for name in ("pipeline.toml", "daemon.log"):
        (tmp_path / name).touch()
    lock = FileLock(tmp_path / "state" / FILE, Holder.me(since=0.0, listen="127.0.0.1:8484"))
    lock.acquire()
    # When another demo starts there, the error names the daemon
    code, _, err = command("demo", "--folder", tmp_path, "--listen", "nowhere")
    lock.release()
    assert (code, (tmp_path / "pipeline.toml").exists()) == (2, True)
    assert "at http://127.0.0.1:8484" in err


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:1", "refused or unreachable"),
        ("localhost", "not a URL"),
        ("http://a..b", "not a URL"),
    ],
)
def test_without_a_daemon_the_error_names_its_url(command, url, why):
    code, _, err = command("status", "--url", url)
    assert code == 1
    assert f"no daemon answers at {url}" in err
    assert why in err


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        (
            "BACKFILLD_PIPLINE",
            "x",
            "BACKFILLD_PIPLINE: correct or unset it; did you mean 'BACKFILLD_PIPELINE'?",
        ),
        (
            "BACKFILLD_FOO",
            "1",
            "unknown variable BACKFILLD_FOO: correct or unset it; known are BACKFILLD_PIPELINE",
        ),
        ("BACKFILLD_LISTEN", "8484", "BACKFILLD_LISTEN '8484' is not HOST:PORT"),
        ("BACKFILLD_BACKUP_EVERY", "daily", "BACKFILLD_BACKUP_EVERY: 'daily' is not a duration"),
        ("BACKFILLD_BACKUP_KEEP", "0", "BACKFILLD_BACKUP_KEEP '0' is not a number of backups"),
    ],
)
def test_a_wrong_variable_is_named_with_the_remedy(command, monkeypatch, variable, text, message):
    monkeypatch.setenv(variable, text)
    code, _, err = command("serve", "--pipeline", "p.toml", "--state-dir", "s")
    assert code == 2
    assert message in err


def test_a_job_may_start_a_daemon(command, monkeypatch, tmp_path):
    job = Job(attempt=1, argv=("true",), cwd=tmp_path)
    for variable, text in environment(job, "mark", allowed_variables()).items():
        monkeypatch.setenv(variable, text)
    assert "give --pipeline FILE or set BACKFILLD_PIPELINE" in command("serve")[2]


@pytest.mark.parametrize("token", ["", "bfd_unknown"])
def test_a_client_without_access_learns_where_a_token_goes(command, monkeypatch, tmp_path, token):
    monkeypatch.setenv("BACKFILLD_TOKEN", token)
    with listening(make_door(tmp_path).api.app) as url:
        code, _, err = command("status", "--url", url)
    assert (code, err.endswith("; set BACKFILLD_TOKEN to one that the daemon knows\n")) == (2, True)


@pytest.mark.parametrize("terminal", [False, True])
def test_no_text_of_a_job_moves_the_cursor_in_a_report(capsys, monkeypatch, terminal):
    monkeypatch.setattr(output.console, "_force_terminal", terminal)
    output.print_lines([Text("# 1. box: failed: \x1b[2K\x1b[1Arm -rf\u202e /")])
    assert capsys.readouterr().out == "# 1. box: failed:  [2K [1Arm -rf  /\n"


def test_a_command_of_several_lines_is_printed_as_it_would_run(capsys):
    output.print_lines([Text("(cd /srv && sh -c 'set -e\nload')")])
    assert capsys.readouterr().out == "(cd /srv && sh -c 'set -e\nload')\n"


@pytest.mark.parametrize("token", ["bfd_x\n", "bfd_€"])
def test_a_token_that_cannot_be_sent_is_refused_and_not_printed(command, monkeypatch, token):
    monkeypatch.setenv("BACKFILLD_TOKEN", token)
    code, _, err = command("status")
    message = "BACKFILLD_TOKEN has a character that no token has; paste bfd_... again"
    assert (code, err) == (2, f"backfilld: {message}\n")


@pytest.mark.parametrize("terminal", [False, True])
def test_brackets_in_the_output_of_a_job_are_printed(capsys, monkeypatch, terminal):
    # Given a reason that a markup language would take for tags
    monkeypatch.setattr(output.console, "_force_terminal", terminal)
    reason = "exit 1: [error] no such file [/tmp/x]"
    date = {"date": "2021-10-19", "state": "failed", "outcome": "exhausted", "reason": reason}
    attempt = {"id": 7, "processor": "box", "status": "lost", "exit_code": None, "detail": reason}
    attempt |= {
        "dates": ["2021-10-19"],
        "tail": "",
        "last_line": "",
        "ended_at": "x",
        "duration_seconds": 1.0,
    }
    attempt |= {"verdict": None, "verdict_reason": ""}
    known = {
        "waiting_on": None,
        "season": None,
        "counts": {"games": 3},
        "backfill_id": 1,
        "regressed": None,
        "stale": None,
    }
    # When it is shown
    status_watch_and_list_dates.print_date(
        {**date, **known, "processors": [], "attempts": [attempt], "transitions": []}
    )
    # Then nothing of it is lost
    assert capsys.readouterr().out.count(reason) == 2
