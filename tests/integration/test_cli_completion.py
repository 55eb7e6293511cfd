"""What a shell offers, with the real API of a simulated world behind it."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete

from backfilld.api.cli.main import cli

RANGE = ("2021-10-27", "2021-10-29")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("status 2021-10-2", {"2021-10-27", "2021-10-28", "2021-10-29"}),
        ("watch ", {"1"}),
        ("cancel ", {"1"}),
        ("accept 2021-10-27 b", {"box"}),
        ("logs 2021-10-27 ", {"box", "extra", "zones", "cache"}),
        ("retry 1", {"1"}),
        ("sta", {"status"}),
    ],
)
def test_a_shell_completes_what_the_daemon_knows(command, monkeypatch, words, offered):
    command("enqueue", *RANGE)
    assert completed(monkeypatch, words) == offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("hold processor ", {"box", "extra", "zones", "cache"}),
        ("hold table nba.z", {"nba.zones"}),
        ("hold warehouse ", set()),
        ("release processor ", {"box"}),
        ("release table ", set()),
        ("enqueue 2021-10-27 --select b", {"box"}),
        ("enqueue 2021-10-27 --select zones,c", {"zones,cache"}),
        ("enqueue 2021-10-27 --exclude +z", {"+zones"}),
        ("enqueue 2021-10-27 --select ph", {"phase:phase2", "phase:phase4"}),
        ("validate 2021-10-27 --select b", {"box"}),
        ("retry 2021-10-27 --processor b", {"box"}),
        ("accept 2021-10-27 --processor box,e", {"box,extra"}),
        ("retry --state f", {"failed"}),
        ("retry --outcome exh", {"exhausted"}),
        ("retry --verdict no", {"no_data", "not_expected"}),
        ("retry --dates 2021-10-27,2021-10-28", {"2021-10-27,2021-10-28"}),
        ("list --state phase4", {"phase4-step-1", "phase4-step-2"}),
        ("list --outcome wa", {"waived"}),
        ("watch --season ", {"2021-22"}),
    ],
)
def test_a_shell_completes_keys_terms_and_filters(command, monkeypatch, words, offered):
    command("enqueue", *RANGE, "--wait")
    command("hold", "processor", "box", "--reason", "broken")
    command("hold", "warehouse", "--reason", "upgrade")
    assert completed(monkeypatch, words) == offered


def test_without_a_daemon_a_shell_completes_nothing_and_says_nothing(monkeypatch, capsys):
    monkeypatch.setenv("BACKFILLD_URL", "http://127.0.0.1:1")
    assert completed(monkeypatch, "status 2021") == set()
    assert capsys.readouterr() == ("", "")


def test_bash_is_given_a_script_that_it_accepts(monkeypatch):
    # Given what the documents tell people to source
    environment = {**os.environ, "_BACKFILLD_COMPLETE": "bash_source"}
    call = "import sys; sys.argv[0] = 'backfilld'; from backfilld.api.cli.main import main; main()"
    script = subprocess.run([sys.executable, "-c", call], capture_output=True, check=True, env=environment)
    # Then bash takes it, and completes by it
    taken = b"complete -p backfilld"
    bash = subprocess.run(["bash"], input=script.stdout + taken, capture_output=True, check=True)
    assert b"-F _backfilld_completion backfilld" in bash.stdout, bash.stderr


def completed(monkeypatch, words):
    """What bash would offer after `backfilld WORDS`, by click's own protocol."""
    *before, last = f"backfilld {words}".split(" ")
    monkeypatch.setenv("COMP_WORDS", " ".join([*before, last]))
    monkeypatch.setenv("COMP_CWORD", str(len(before)))
    printed = BashComplete(cli, {}, "backfilld", "_BACKFILLD_COMPLETE").complete()
    return {line.partition(",")[2] for line in printed.splitlines()}
