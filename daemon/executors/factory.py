"""The executors that a pipeline uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from daemon.config import SettingsError
from daemon.executors import Executor
from daemon.executors.local import Local
from state.pipeline import Pipeline


def open_executors(pipeline: Pipeline, root: Path, *, on_end: Callable[[], None]) -> Mapping[str, Executor]:
    """Each that the file names; logs are under `root`, `on_end` tells of jobs that ended.

    One that no processor uses may still have jobs under way.

    Raises:
        SettingsError: `root` cannot be written, or an executor needs a package that is not installed.
    """
    try:
        found: dict[str, Executor] = {"local": Local(root, on_end=on_end)}
    except OSError as error:
        raise SettingsError(f"{root}: {error.strerror}; check its owner and rights") from error
    if pipeline.executor.dask is not None:
        with extra("dask"):
            from daemon.executors.dask import Dask  # noqa: PLC0415  who has no cluster needs no Dask
        found["dask"] = Dask(root, pipeline.executor.dask, on_end=on_end)
    if pipeline.executor.cloud_run is not None:
        with extra("cloud-run"):
            from daemon.executors.cloud_run import CloudRun  # noqa: PLC0415  as with Dask
            from daemon.executors.cloud_run_api import job_names  # noqa: PLC0415
        source = pipeline.executor.cloud_run
        found["cloud-run"] = CloudRun(root, source, job_names(pipeline, source), on_end=on_end)
    return found


@contextmanager
def extra(name: str) -> Iterator[None]:
    """For imports that the package's extra of this name has to bring. Raises SettingsError without it."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = f"pip install 'backfilld[{name}]'"
        raise SettingsError(f"the executor {name} needs {error.name}: {remedy}") from error
