"""Kinds of warehouses and executors: the folders of this package, and what other packages offer.

A built-in kind is a folder with a `plugin.py` that has one ADAPTER. Another package adds a kind by an entry
point, whose name is the kind and whose value is such an ADAPTER. Nothing is imported before it is used.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from backfilld.daemon.executors.adapter import ExecutorAdapter
from backfilld.daemon.warehouses.adapter import WarehouseAdapter
from backfilld.state.pipeline.loading import load, parse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.settings_by_kind import Adapters, Kinds

WAREHOUSES, EXECUTORS = "backfilld.warehouses", "backfilld.executors"
"""The groups of entry points."""

_PACKAGES = {WAREHOUSES: "backfilld.daemon.warehouses", EXECUTORS: "backfilld.daemon.executors"}


def load_pipeline(path: Path) -> Pipeline:
    """Read and check a pipeline file, with every installed adapter.

    Raises:
        PipelineError: the file cannot be read, is not TOML, or says something impossible.
    """
    return load(path, adapters=installed())


def parse_pipeline(data: dict[str, Any], path: Path) -> Pipeline:
    """The pipeline of a parsed file that lies at `path`, with every installed adapter.

    Raises:
        PipelineError: it says something impossible.
    """
    return parse(data, path, adapters=installed())


def installed() -> Adapters:
    """All installed adapters, as the pipeline file names them."""
    return Adapters(
        warehouses=Kinds(
            names=tuple(sorted(kinds_of(WAREHOUSES))), model=lambda kind: warehouse_adapter(kind).settings
        ),
        executors=Kinds(
            names=tuple(sorted(kinds_of(EXECUTORS))), model=lambda kind: executor_adapter(kind).settings
        ),
    )


def warehouse_adapter(kind: str) -> WarehouseAdapter:
    """The adapter of a kind of warehouse.

    Raises:
        ValueError: it cannot be imported, or is not an adapter.
    """
    adapter = _loaded(kinds_of(WAREHOUSES)[kind])
    if not isinstance(adapter, WarehouseAdapter):
        raise _no_adapter(kinds_of(WAREHOUSES)[kind], WarehouseAdapter)
    return adapter


def executor_adapter(kind: str) -> ExecutorAdapter:
    """The adapter of a kind of executor.

    Raises:
        ValueError: it cannot be imported, or is not an adapter.
    """
    adapter = _loaded(kinds_of(EXECUTORS)[kind])
    if not isinstance(adapter, ExecutorAdapter):
        raise _no_adapter(kinds_of(EXECUTORS)[kind], ExecutorAdapter)
    return adapter


@cache
def kinds_of(group: str) -> Mapping[str, EntryPoint]:
    """Every kind of a group of entry points, by name. A built-in one cannot be replaced."""
    installed = {point.name: point for point in entry_points(group=group)}
    return {**installed, **{point.name: point for point in _built_in(group)}}


def _built_in(group: str) -> Iterator[EntryPoint]:
    package = _PACKAGES[group]
    folders = importlib.util.find_spec(package)
    for module in pkgutil.iter_modules(folders.submodule_search_locations if folders else []):
        if module.ispkg and importlib.util.find_spec(f"{package}.{module.name}.plugin"):
            kind, value = module.name.replace("_", "-"), f"{package}.{module.name}.plugin:ADAPTER"
            yield EntryPoint(name=kind, value=value, group=group)


def _loaded(point: EntryPoint) -> object:
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        remedy = "correct its installation, or remove it"
        raise ValueError(f"the adapter {point.value} cannot be imported: {error}; {remedy}") from error


def _no_adapter(point: EntryPoint, wanted: type) -> ValueError:
    return ValueError(f"the adapter {point.value} is no {wanted.__name__}; correct its entry point")
