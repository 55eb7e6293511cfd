"""Packages that an executor needs and a plain installation lacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from backfilld.daemon.settings import SettingsError


@contextmanager
def extra(name: str) -> Iterator[None]:
    """For the imports that the package's extra `name` brings.

    Raises:
        SettingsError: the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = f"pip install 'backfilld[{name}]'"
        raise SettingsError(f"the executor {name} needs {error.name}: {remedy}") from error
