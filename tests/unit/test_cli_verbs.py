"""The verbs of the command line: each is where the table says, and brings in no more than it needs."""

import subprocess
import sys

import click
import pytest

from backfilld.api.cli.main import MODULES, cli

HEAVY = {"alembic", "duckdb", "flask", "google.cloud.bigquery", "sqlalchemy", "sqlglot"}
"""What takes longer to import than it takes to ask the daemon."""


@pytest.mark.parametrize("verb", [verb for verbs in MODULES.values() for verb in verbs])
def test_a_verb_is_found_by_its_name(verb):
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None
    assert found.name == verb


def test_there_is_no_other_verb():
    assert cli.get_command(click.Context(cli), "report") is None


def test_who_only_asks_the_daemon_waits_for_no_warehouse_and_no_database():
    program = "from backfilld.api.cli.main import cli; cli.get_command(None, 'status')"
    words = f"import sys; {program}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())
