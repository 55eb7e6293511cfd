"""What a Python script's source says: whether it compiles, answers `--help`, and sets options to True.

Nothing of it is imported or run.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from backfilld.daemon.job_command_inspection import find_module
from backfilld.state.base_errors import BackfilldError

COMMAND_LINE_LIBRARIES = frozenset(
    {"argparse", "click", "typer", "optparse", "getopt", "docopt", "fire", "absl"}
)
"""Libraries that make a script answer `--help` with help."""

MAX_IMPORT_DEPTH = 3
"""How many imports deep the modules of a script's own project are read."""


class NotPython(BackfilldError):
    """The source cannot be compiled; `line` is where."""

    def __init__(self, message: str, line: int) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionSettings:
    """The lines on which a script sets an option."""

    true: tuple[int, ...] = ()
    otherwise: tuple[int, ...] = ()
    """Set to False, or to a value that only a run would show."""


def parse(path: Path) -> ast.Module:
    """The syntax tree of a script.

    Raises:
        NotPython: it does not compile.
        OSError: it cannot be read.
    """
    text = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, str(path))
            compile(tree, str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise NotPython(error.msg, error.lineno or 1) from error
    except (ValueError, RecursionError) as error:
        raise NotPython(str(error), 1) from error
    return tree


def option_settings(tree: ast.Module, option: str) -> OptionSettings:
    """Where `option` is set: in a dict, as a keyword argument, or by `opts["option"] = ...`."""
    values = list(_values(tree, option))
    return OptionSettings(
        true=tuple(sorted(value.lineno for value in values if _is_true(value))),
        otherwise=tuple(sorted(value.lineno for value in values if not _is_true(value))),
    )


def texts(tree: ast.Module) -> set[str]:
    """The string constants of a script; click's `--shout/--no-shout` counts as two."""
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {part for text in constants if isinstance(text, str) for part in text.split("/")}


def imported_modules(tree: ast.Module, package: str = "") -> Iterator[str]:
    """The dotted names that a module imports; `package` is its own, for relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*parents, node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def answers_help(tree: ast.Module, places: Sequence[Path], package: str = "") -> bool:
    """Whether the script, or a module in `places` that it imports, uses a command-line library.

    Only then does `--help` print help. Any other script would ignore the option and start its work.
    """
    modules = _with_imports(tree, places, package)
    imported = (name for module, parent in modules for name in imported_modules(module, parent))
    return any(name.partition(".")[0] in COMMAND_LINE_LIBRARIES for name in imported)


def has_text(tree: ast.Module, word: str, places: Sequence[Path], package: str = "") -> bool:
    """Whether a text of the script, or of a module in `places` that it imports, begins with a word."""
    modules = _with_imports(tree, places, package)
    return any(text.startswith(word) for module, _ in modules for text in texts(module))


def _with_imports(tree: ast.Module, places: Sequence[Path], package: str) -> Iterator[tuple[ast.Module, str]]:
    """The script and the modules in `places` that it imports, level by level, each with its package."""
    visited: set[Path] = set()
    level = [(tree, package)]
    for _ in range(MAX_IMPORT_DEPTH):
        yield from level
        names = [name for module, parent in level for name in imported_modules(module, parent)]
        level = list(_modules(names, places, visited))


def _modules(
    names: Sequence[str], places: Sequence[Path], visited: set[Path]
) -> Iterator[tuple[ast.Module, str]]:
    for name in dict.fromkeys(names):
        path = find_module(name, places) if name else None
        if path is None or path in visited or path.suffix != ".py":
            continue
        visited.add(path)
        try:
            yield parse(path), name.rpartition(".")[0]
        except (NotPython, OSError):
            continue


def _values(tree: ast.Module, option: str) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (value for key, value in pairs if _is_text(key, option))
        elif isinstance(node, ast.keyword) and node.arg == option:
            yield node.value
        elif isinstance(node, ast.Assign):
            targets = [t for t in node.targets if isinstance(t, ast.Subscript) and _is_text(t.slice, option)]
            yield from (node.value for _ in targets)


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _is_text(node: ast.expr | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text
