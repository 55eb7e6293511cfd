"""The verbs of the command line: each is where the table says, and imports no more than it needs."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from backfilld.api.cli.main import GROUPS, VERBS, cli

HEAVY = {
    "alembic",
    "duckdb",
    "flask",
    "google.cloud.bigquery",
    "pydantic",
    "sqlalchemy",
    "sqlglot",
    "transitions",
}
"""Modules that only the daemon and the reports need."""
CLIENT = {"requests", "rich"}
"""Modules that a verb needs, and the list of verbs does not."""
GROUP = "from backfilld.api.cli.main import cli\n"
UNREACHABLE = """
import sys
from backfilld.api.cli.main import main

sys.argv = ["backfilld", "status", "--url", "http://127.0.0.1:1"]
try:
    main()
except SystemExit as ended:
    assert ended.code == 1
"""
WITH_VERBS = ("expect", "pipeline", "token", "warehouse")


def commands() -> dict[str, click.Command]:
    """All commands by their words, also those of verbs that have verbs."""
    context = click.Context(cli)
    found = {verb: cli.get_command(context, verb) for verb in VERBS}
    for verb in WITH_VERBS:
        group = found.pop(verb)
        found |= {f"{verb} {name}": group.get_command(context, name) for name in group.list_commands(context)}
    return found


def modules_after(program: str) -> set[str]:
    words = f"{program}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_its_name_and_the_summary_that_the_list_of_verbs_shows(verb):
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None
    assert found.name == verb
    assert found.help.partition("\n")[0] == VERBS[verb].summary


@pytest.mark.parametrize("words", commands())
def test_the_help_of_a_verb_has_an_example_of_it(words):
    command = commands()[words]
    assert f"  backfilld {words}" in command.epilog
    assert f"  backfilld {words}" in CliRunner().invoke(cli, [*words.split(), "--help"]).output


def test_no_help_is_wider_than_a_terminal_or_cut():
    for words in ("", *VERBS, *commands()):
        shown = CliRunner().invoke(cli, [*words.split(), "--help"], terminal_width=80).output
        lines = shown.splitlines()[1:]
        assert [line for line in lines if len(line) > 80 or line.endswith("...")] == [], words
        assert not words or f"    backfilld {words}" in shown


@pytest.mark.parametrize("width", [64, 80, 100])
def test_the_list_of_verbs_is_grouped_and_no_summary_is_cut_or_wrapped(width):
    shown = CliRunner().invoke(cli, ["--help"], terminal_width=width, max_content_width=width).output
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert [line[:-1] for line in lines if line.endswith(":") and line != "Options:"] == list(GROUPS)
    assert {f"{name} {verb.summary}" for name, verb in VERBS.items()} <= set(lines)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("enque", "No such command 'enque'. Did you mean 'enqueue'?"),
        ("stats", "No such command 'stats'. Did you mean 'status'?"),
        ("zzz", "No such command 'zzz'. Known are preflight, serve, demo,"),
    ],
)
def test_a_misspelt_verb_gets_a_suggestion(word, message):
    result = CliRunner().invoke(cli, [word])
    assert result.exit_code == 2
    assert message in result.output


def test_there_is_no_other_verb():
    assert cli.get_command(click.Context(cli), "report") is None


def test_a_verb_that_asks_the_daemon_imports_no_warehouse_and_no_database():
    verbs = [*GROUPS["Requests"], *GROUPS["Inspect"]]
    assert not HEAVY & modules_after(f"{GROUP}[cli.get_command(None, verb) for verb in {verbs}]")


def test_a_verb_that_reaches_no_daemon_imports_no_warehouse_and_no_database():
    modules = modules_after(UNREACHABLE)
    assert "requests" in modules
    assert not HEAVY & modules


def test_the_list_of_verbs_imports_none_of_them():
    modules = modules_after(f"{GROUP}cli(['--help'], standalone_mode=False)")
    assert not [name for name in modules if name.startswith("backfilld.api.cli.commands.")]
    assert not (HEAVY | CLIENT) & modules


@pytest.mark.parametrize(
    "words",
    [
        ("enqueue", "2024-03-01", "--force", "--select", ""),
        ("enqueue", "2024-03-01", "--select", "box", "--select", " , "),
        ("validate", "2024-03-01", "--exclude", ""),
        ("retry", "2024-03-01", "--processor", ""),
        ("retry", "--state", ""),
        ("accept", "2024-03-01", "--processor", "", "--reason", "lost"),
    ],
)
def test_an_option_that_a_script_left_empty_is_refused_and_chooses_not_everything(words):
    ended = CliRunner().invoke(cli, [*words])
    option = [word for word in words if word.startswith("--") and word not in ("--force", "--reason")][-1]
    assert ended.exit_code == 2
    assert f"'{option}': is empty; fill it in or leave the option out" in ended.output
