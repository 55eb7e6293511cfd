"""The executors that a pipeline uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from daemon.config import SettingsError
from daemon.executors import Executor
from daemon.executors.local import Local
from state.pipeline import Pipeline


def open_executors(pipeline: Pipeline, root: Path, *, on_end: Callable[[], None]) -> Mapping[str, Executor]:
    """Each by the name that processors call it; logs are under `root`, `on_end` tells of jobs that ended.

    Raises:
        OSError: `root` cannot be written.
        SettingsError: an executor needs a package that is not installed.
    """
    found: dict[str, Executor] = {"local": Local(root, on_end=on_end)}
    used = {processor.executor for processor in pipeline.processors.values()}
    if "dask" in used and pipeline.executor.dask is not None:
        try:
            from daemon.executors.dask import Dask  # noqa: PLC0415  who has no cluster needs no Dask
        except ModuleNotFoundError as error:
            raise SettingsError("the executor dask needs Dask: pip install 'backfilld[dask]'") from error
        found["dask"] = Dask(root, pipeline.executor.dask, on_end=on_end)
    return found
