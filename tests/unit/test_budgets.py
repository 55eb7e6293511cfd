"""Sizes that keep the code readable, and faults that a reader should not have to find."""

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for folder in ("state", "daemon", "api", "demo") for path in (ROOT / folder).rglob("*.py")
)
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
BROAD = {"Exception", "BaseException"}


def functions():
    """Every function with the file it is in and its length in lines."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield f"{name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_over_350_lines():
    long = {p.name: n for p in FILES if (n := len(p.read_text(encoding="utf-8").splitlines())) > 350}
    assert not long


def test_functions_are_short():
    lengths = dict(functions())
    assert not {name: n for name, n in lengths.items() if n > 60}
    assert statistics.median(lengths.values()) <= 10


def test_every_module_says_what_it_is():
    assert not [name for name, tree in TREES.items() if not ast.get_docstring(tree)]


def test_broad_handlers_stand_only_at_boundaries():
    handlers = [
        f"{name}:{node.lineno}"
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in BROAD))
    ]
    assert len(handlers) <= 3, handlers


def test_nothing_is_left_to_be_done():
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3)
    assert not [p.name for p in FILES if any(word in p.read_text(encoding="utf-8") for word in words)]
