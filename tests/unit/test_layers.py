"""Who may import whom: state <- daemon <- api, and every library at the one place that needs it.

The demo stands for somebody else's platform: it knows nothing of us. The rules are the tables below.
A new dependency gets a line in FENCES, with the folder that uses it.
"""

import ast
import functools
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = {
    "state": {"state"},
    "daemon": {"state", "daemon"},
    "api": {"state", "daemon", "api", "demo"},
    "demo": {"demo"},
}
PACKAGE = "backfilld"
OTHERS = {"tests", "bench"}

FENCES = {
    "alembic": ("state/*",),
    "apscheduler": ("daemon/background_scheduler.py", "daemon/service.py"),
    "click": ("api/*",),
    "deltalake": ("daemon/warehouses/lake/delta.py",),
    "distributed": ("daemon/executors/dask/*",),
    "duckdb": ("daemon/warehouses/*", "demo/*"),
    "flask": ("api/*",),
    "google": (
        "daemon/warehouses/*",
        "daemon/executors/cloud_run/*",
        "daemon/google_error_causes.py",
        "demo/bigquery_publisher.py",
    ),
    "prometheus_client": ("api/*",),
    "psycopg": ("daemon/warehouses/postgresql/*", "daemon/database_url.py"),
    "pydantic": ("state/*", "api/*", "daemon/*/settings.py"),
    "pydantic_core": ("state/*", "api/*"),
    "pyiceberg": ("daemon/warehouses/lake/iceberg/*",),
    "requests": (
        "api/*",
        "daemon/warehouses/*",
        "daemon/google_error_causes.py",
    ),  # Google's clients raise its exceptions
    "rich": ("api/*",),
    "sqlalchemy": ("state/*",),
    "sqlglot": ("daemon/warehouses/*",),
    "subprocess": ("daemon/executors/*", "daemon/preflight/*", "demo/*"),
    "tornado": ("daemon/executors/dask/connection.py",),
    "transitions": ("state/rules/state_machine.py",),
    "waitress": ("api/*",),
    "werkzeug": ("api/*",),
}


@dataclass(frozen=True)
class Import:
    """One import statement of one module, wherever in the module it stands."""

    path: str
    line: int
    module: str

    @property
    def top(self) -> str:
        """The package it belongs to."""
        return self.module.split(".")[0]

    @property
    def layer(self) -> str | None:
        """The layer of this project that is imported; None for a library or the package itself."""
        names = self.module.split(".")
        return names[1] if names[0] == PACKAGE and len(names) > 1 and names[1] in LAYERS else None

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


def sources(root: Path) -> Iterator[Path]:
    """The product's modules."""
    for layer in LAYERS:
        yield from sorted((root / layer).rglob("*.py"))


@functools.cache
def imports(root: Path, path: Path) -> list[Import]:
    """All imports of a module, lazy and conditional ones too; parsed once for all rules."""
    found: list[Import] = []
    relative = path.relative_to(root)
    package = relative.parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            near = ".".join((PACKAGE, *package[: len(package) - node.level + 1]))
            modules = [f"{near}.{node.module or alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [Import(str(relative), node.lineno, module) for module in modules]
    return found


def complaints(root: Path) -> list[str]:
    """One sentence for each import that the rules forbid."""
    found = [one for path in sources(root) for one in imports(root, path)]
    return [*_layer_complaints(found), *_library_complaints(found)]


def _layer_complaints(found: list[Import]) -> Iterator[str]:
    for one in found:
        layer = one.path.split("/")[0]
        if one.top in LAYERS:
            yield f"{one}: import it as {PACKAGE}.{one.module}"
        elif (wanted := one.layer or (one.top if one.top in OTHERS else None)) and wanted not in LAYERS[
            layer
        ]:
            yield f"{one}: {layer} may not import {wanted}, only {', '.join(sorted(LAYERS[layer]))}"


def _library_complaints(found: list[Import]) -> Iterator[str]:
    for one in found:
        allowed = FENCES.get(one.top)
        if allowed is not None and not any(fnmatch(one.path, pattern) for pattern in allowed):
            yield f"{one}: only {' and '.join(allowed)} may import {one.top}"
        elif allowed is None and one.top not in {PACKAGE, *LAYERS, *OTHERS, *sys.stdlib_module_names}:
            yield f"{one}: {one.top} has no place yet; give it one in FENCES"


def cycle(root: Path) -> list[str]:
    """The modules of an import cycle, in order; empty without one. Lazy imports count as well."""
    known = {_module(root, path): path for path in sources(root)}
    graph = {
        name: {loaded for one in imports(root, path) for loaded in _loads(one.module) if loaded in known}
        for name, path in known.items()
    }
    try:
        TopologicalSorter({name: loaded - {name} for name, loaded in graph.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _module(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join((PACKAGE, *parts)).removesuffix(".__init__")


def _loads(name: str) -> list[str]:
    """What an import loads: the module and the packages around it."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def test_no_module_imports_itself_through_others() -> None:
    assert cycle(ROOT) == []


@pytest.mark.parametrize(
    "files",
    [
        {"state/a.py": "from backfilld.state import b", "state/b.py": "import backfilld.state.a"},
        {"state/a.py": "from backfilld.state.b import x", "state/b.py": "def f():\n    from . import a"},
        {
            "state/a.py": "from backfilld.state.b import x",
            "state/b.py": "from backfilld.state.c import y",
            "state/c.py": "if 1:\n    from backfilld.state.a import z",
        },
        {
            "daemon/engine/__init__.py": "from backfilld.daemon.engine.tick import Engine",
            "daemon/engine/tick.py": "from backfilld.daemon.engine.missing_upstream import spans",
            "daemon/engine/missing_upstream.py": "",
        },
    ],
    ids=["direct", "lazy", "through a third", "through the package"],
)
def test_an_import_cycle_is_found(tmp_path: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        write(tmp_path, path, text)
    assert cycle(tmp_path)


def test_nobody_imports_what_is_not_for_him() -> None:
    assert complaints(ROOT) == []


def test_the_rules_are_about_modules_that_exist() -> None:
    assert all((ROOT / layer / "__init__.py").exists() for layer in LAYERS)
    assert len(list(sources(ROOT))) > 50


@pytest.mark.parametrize(
    ("path", "line", "sentence"),
    [
        (
            "state/x.py",
            "import backfilld.daemon.engine",
            "imports backfilld.daemon.engine: state may not import daemon, only state",
        ),
        (
            "state/x.py",
            "from backfilld.api import app",
            "imports backfilld.api.app: state may not import api, only state",
        ),
        (
            "daemon/x.py",
            "from backfilld.api.app import create_app",
            "daemon may not import api, only daemon, state",
        ),
        (
            "daemon/x.py",
            "from backfilld.demo import lake",
            "daemon may not import demo, only daemon, state",
        ),
        ("api/x.py", "from tests import factories", "api may not import tests"),
        (
            "demo/jobs/x.py",
            "from backfilld.state.rules import verdict",
            "demo may not import state, only demo",
        ),
        ("daemon/x.py", "import sqlalchemy.orm", "only state/* may import sqlalchemy"),
        (
            "daemon/x.py",
            "import pydantic",
            "only state/* and api/* and daemon/*/settings.py may import pydantic",
        ),
        (
            "state/x.py",
            "from google.cloud import bigquery",
            "demo/bigquery_publisher.py may import google",
        ),
        ("daemon/warehouses/x.py", "import apscheduler", "only daemon/background_scheduler.py and daem"),
        ("daemon/x.py", "def f():\n    import subprocess", "imports subprocess: only daemon/executors/*"),
        ("api/x.py", "if 1:\n    from subprocess import run", "imports subprocess.run: only daemon/exec"),
        ("daemon/x.py", "import rich, flask", "only api/* may import flask"),
        ("daemon/x.py", "from state.store import dates", "import it as backfilld.state.store.dates"),
        ("api/x.py", "import numpy", "imports numpy: numpy has no place yet; give it one in FENCES"),
    ],
)
def test_a_forbidden_import_is_told_in_a_sentence(
    tmp_path: Path, path: str, line: str, sentence: str
) -> None:
    write(tmp_path, path, line)
    assert any(sentence in complaint for complaint in complaints(tmp_path)), complaints(tmp_path)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("state/store/x.py", "from ..rules.verdict import judge"),
        ("daemon/x.py", "from backfilld.state.rules.verdict import judge"),
        ("daemon/executors/x.py", "import subprocess"),
        ("daemon/preflight/x.py", "import subprocess"),
        ("daemon/preflight/jobs.py", "import subprocess"),
        ("daemon/warehouses/lake.py", "def f():\n    import duckdb, sqlglot"),
        ("api/x.py", "import click, flask\nfrom backfilld.daemon import engine"),
        ("demo/jobs/x.py", "import duckdb\nfrom backfilld.demo.job import run"),
    ],
)
def test_what_is_allowed_is_not_complained_about(tmp_path: Path, path: str, line: str) -> None:
    write(tmp_path, path, line)
    assert complaints(tmp_path) == []


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
