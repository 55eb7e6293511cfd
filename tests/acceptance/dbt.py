"""dbt in an environment of its own: it depends on much that backfilld does not."""

from pathlib import Path

from tests import virtual_environments
from tests.documents import ROOT

ENVIRONMENT = ROOT / ".venv-dbt"
REQUIREMENTS = ("--only-binary=:all:", "dbt-core<1.12", "dbt-duckdb")
"""Versions of dbt-core from 1.12 on bring a parser that is no package of the index."""


def installed() -> Path:
    """The directory of programs with dbt, which is installed first where it is not."""
    return Path(virtual_environments.installed(ENVIRONMENT, REQUIREMENTS)).parent
