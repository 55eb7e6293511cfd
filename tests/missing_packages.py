"""Has an installed package be missing for a while, for what the program then says."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def missing(package: str, *, importer: str) -> Iterator[None]:
    """`package` cannot be imported, and no module of the package `importer` has been.

    Afterwards the modules of `importer` are the earlier ones again, in `sys.modules` as well as in the
    attribute of the package around it: a later test that replaces something by its dotted name finds a
    module by the attribute, and the code under test has it from `sys.modules`.
    """
    around, _, name = importer.rpartition(".")
    parent = importlib.import_module(around)
    attribute = vars(parent).get(name)
    earlier = {
        module: sys.modules.pop(module) for module in (*_inside(importer), package) if module in sys.modules
    }
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in (*_inside(importer), package):
            del sys.modules[module]
        sys.modules.update(earlier)
        if attribute is not None:
            setattr(parent, name, attribute)
        elif hasattr(parent, name):
            delattr(parent, name)


def _inside(package: str) -> list[str]:
    """The imported modules of a package, and itself."""
    return [module for module in sys.modules if f"{module}.".startswith(f"{package}.")]
