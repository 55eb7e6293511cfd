"""Who may import whom: the architecture, as rules that a test can break on."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("state", "daemon", "api", "demo")
MAY_IMPORT = {
    "state": {"state"},
    "daemon": {"state", "daemon"},
    "api": {"state", "daemon", "api", "demo"},
    "demo": {"demo"},
}
FENCES = {
    "sqlalchemy": ("state/",),
    "alembic": ("state/",),
    "transitions": ("state/machine.py",),
    "pydantic": ("state/", "api/"),
    "pydantic_core": ("state/", "api/"),
    "google": ("daemon/warehouse/",),
    "duckdb": ("daemon/warehouse/", "demo/"),
    "sqlglot": ("daemon/warehouse/",),
    "apscheduler": ("daemon/service.py",),
    "subprocess": ("daemon/executors/", "daemon/preflight", "demo/"),
    "flask": ("api/",),
    "werkzeug": ("api/",),
    "waitress": ("api/",),
    "prometheus_client": ("api/",),
    "click": ("api/",),
    "rich": ("api/",),
    "requests": ("api/",),
}
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def imports(path):
    """The top-level names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way_and_stay_behind_their_fences(path):
    name = path.relative_to(ROOT).as_posix()
    layer = name.split("/")[0]
    for module in set(imports(path)):
        if module in FOLDERS:
            assert module in MAY_IMPORT[layer], f"{name}: {layer}/ may not import {module}/"
        for fence in [FENCES[module]] if module in FENCES else []:
            assert name.startswith(fence), f"{name}: {module} belongs in {' or '.join(fence)}"
