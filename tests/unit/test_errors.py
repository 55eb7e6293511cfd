"""Every error of the product has one root, so that a caller can tell it from a fault of the program."""

import ast
import builtins
from collections.abc import Iterator

import pytest

from backfilld.state.base_errors import BackfilldError, UserError
from tests.documents import ROOT


def exceptions_of(path: str) -> Iterator[tuple[str, str]]:
    """The classes of a module that descend directly from one of Python's exceptions, with their bases."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            known = getattr(builtins, base.id, None) if isinstance(base, ast.Name) else None
            if isinstance(known, type) and issubclass(known, BaseException):
                yield node.name, known.__name__


MODULES = [
    str(path.relative_to(ROOT))
    for folder in ("state", "daemon", "api")
    for path in (ROOT / folder).rglob("*.py")
]


def test_only_the_root_descends_from_pythons_own_exceptions() -> None:
    found = {path: list(exceptions_of(path)) for path in MODULES}
    assert {path: classes for path, classes in found.items() if classes} == {
        "state/base_errors.py": [("BackfilldError", "Exception")]
    }


def test_an_error_may_carry_a_hint_beside_its_message() -> None:
    with pytest.raises(BackfilldError) as raised:
        raise UserError("the state database is locked", hint="stop the other daemon")
    assert (str(raised.value), raised.value.hint) == ("the state database is locked", "stop the other daemon")
    assert UserError("no such file").hint == ""
