"""Clients that the field's generators make from the OpenAPI document, and programs that use them."""

import shutil
import subprocess
from pathlib import Path

from tests import virtual_environments
from tests.documents import ROOT

ENVIRONMENT = ROOT / ".venv-clients"
REQUIREMENTS = ("openapi-python-client==0.29.1",)
_NODE = ROOT / ".venv-node" / "node_modules"
_FOLDER = Path(__file__).parent
_QUIET = "post_hooks: []\n"
"""The settings of a generator that formats nothing."""
_TYPES = ("--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom", "--skipLibCheck")


def installed() -> str:
    """The interpreter that has the generator of Python clients, which is installed first where it is not."""
    return virtual_environments.installed(ENVIRONMENT, REQUIREMENTS)


def python_client(document: Path, folder: Path) -> list[str]:
    """Generate the package `generated` below a folder. Returns the command that uses it."""
    python = installed()
    (folder / "settings.yml").write_text(_QUIET)
    generate = [python, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    paths = ["--path", document, "--config", folder / "settings.yml", "--output-path", folder / "generated"]
    virtual_environments.run([*generate, *map(str, paths)])
    shutil.copy(_FOLDER / "backfill.py", folder)
    return [python, str(folder / "backfill.py")]


def typescript_client(document: Path, folder: Path) -> list[str]:
    """Generate types below a folder, and check a program against them. Returns the command that runs it."""
    (folder / "node_modules").symlink_to(_NODE)
    shutil.copy(_FOLDER / "backfill.mts", folder)
    generate = ["node", str(_NODE / "openapi-typescript" / "bin" / "cli.js"), str(document)]
    virtual_environments.run(
        [*generate, "--default-non-nullable", "false", "--output", str(folder / "schema.d.ts")]
    )
    compiled = subprocess.run(
        ["node", str(_NODE / "typescript" / "bin" / "tsc"), *_TYPES, "--noEmitOnError", "backfill.mts"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert compiled.returncode == 0, compiled.stdout
    return ["node", str(folder / "backfill.mjs")]
