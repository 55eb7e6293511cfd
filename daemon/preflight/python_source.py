"""What a Python script's own text tells: whether it compiles, its options, what it sets to True.

Nothing of it is imported or run.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backfilld.daemon.command_inspection import find_module
from backfilld.state.errors import BackfilldError

COMMAND_LINES = frozenset({"argparse", "click", "typer", "optparse", "getopt", "docopt", "fire", "absl"})
"""Libraries that make a script answer `--help` with help."""

DEPTH = 3
"""How many imports deep a script's own modules are looked into."""


class NotPython(BackfilldError):
    """The text cannot be compiled; `line` is where."""

    def __init__(self, message: str, line: int) -> None:
        self.line = line
        super().__init__(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options that a script defines, by its syntax tree."""

    known: dict[str, int] = field(default_factory=dict)
    """Option and line."""
    parser_line: int | None = None
    """Where the parser is made; None without one."""
    open: bool = False
    """Whether there may be more than the tree shows: names that are computed, a parser handed elsewhere."""
    abbreviated: bool = True
    """Whether the parser takes the beginning of an option for the option."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a script sets an option, by line."""

    true: tuple[int, ...] = ()
    otherwise: tuple[int, ...] = ()
    """Set to False or to something that only a run would tell."""


def parsed(path: Path) -> ast.Module:
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


def options(tree: ast.Module) -> Options:
    """The options that argparse's `add_argument` or click's `option` are called with."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    known: dict[str, int] = {}
    computed = False
    libraries = {name.partition(".")[0] for name in imported(tree)}
    defining = {"add_argument", "option", "Option"} if libraries & {"click", "typer"} else {"add_argument"}
    for call in calls:
        if _name(call.func) not in defining:
            continue
        for argument in call.args:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                known |= dict.fromkeys(argument.value.split("/"), call.lineno)
            else:
                computed = True
    parsers = [call for call in calls if _name(call.func) == "ArgumentParser"]
    return Options(
        known={name: line for name, line in known.items() if name.startswith("-")},
        parser_line=min([call.lineno for call in parsers] or known.values(), default=None),
        open=computed or _handed_away(tree, calls) or any(_has(call, "parents") for call in parsers),
        abbreviated=not any(_is_false(call, "allow_abbrev") for call in parsers),
    )


def settings(tree: ast.Module, option: str) -> Settings:
    """Where `option` is set: in a dict, as a keyword argument, or by `opts["option"] = ...`."""
    found = list(_settings(tree, option))
    return Settings(
        true=tuple(sorted(value.lineno for value in found if _is_true(value))),
        otherwise=tuple(sorted(value.lineno for value in found if not _is_true(value))),
    )


def imported(tree: ast.Module, package: str = "") -> Iterator[str]:
    """The dotted names that a module imports; `package` is its own, for relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            near = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*near, node.module]))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def parses_a_command_line(tree: ast.Module, places: Sequence[Path], package: str = "") -> bool:
    """Whether the script, or a module of its own that it imports, uses a library for command lines.

    Only then does `--help` print help. Any other script would take it for nothing and begin its work.
    """
    seen: set[Path] = set()
    level = [(tree, package)]
    for _ in range(DEPTH):
        names = [name for module, near in level for name in imported(module, near)]
        if any(name.partition(".")[0] in COMMAND_LINES for name in names):
            return True
        level = list(_own_modules(names, places, seen))
    return False


def _own_modules(
    names: Sequence[str], places: Sequence[Path], seen: set[Path]
) -> Iterator[tuple[ast.Module, str]]:
    for name in dict.fromkeys(names):
        path = find_module(name, places) if name else None
        if path is None or path in seen or path.suffix != ".py":
            continue
        seen.add(path)
        try:
            yield parsed(path), name.rpartition(".")[0]
        except (NotPython, OSError):
            continue


def _settings(tree: ast.Module, option: str) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (value for key, value in pairs if _is_text(key, option))
        elif isinstance(node, ast.keyword) and node.arg == option:
            yield node.value
        elif isinstance(node, ast.Assign):
            hits = [t for t in node.targets if isinstance(t, ast.Subscript) and _is_text(t.slice, option)]
            yield from (node.value for _ in hits)


def _handed_away(tree: ast.Module, calls: Sequence[ast.Call]) -> bool:
    """Whether a parser is given to a function that this file does not define, which may add options."""
    made = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    parsers = {
        target.id
        for node in made
        if isinstance(node.value, ast.Call) and _name(node.value.func) == "ArgumentParser"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for call in calls:
        given = {argument.id for argument in call.args if isinstance(argument, ast.Name)}
        given |= {keyword.value.id for keyword in call.keywords if isinstance(keyword.value, ast.Name)}
        if given & parsers and _name(call.func) not in own:
            return True
    return False


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _has(call: ast.Call, keyword: str) -> bool:
    return any(given.arg == keyword for given in call.keywords)


def _is_false(call: ast.Call, keyword: str) -> bool:
    values = [given.value for given in call.keywords if given.arg == keyword]
    return any(isinstance(value, ast.Constant) and value.value is False for value in values)


def _is_true(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is True


def _is_text(node: ast.expr | None, text: str) -> bool:
    return isinstance(node, ast.Constant) and node.value == text
