"""The executors that a pipeline uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from backfilld.daemon.executors.adapter import Executor
from backfilld.daemon.executors.local.executor import LocalExecutor
from backfilld.daemon.settings import SettingsError
from backfilld.state.pipeline.models import Pipeline


def open_executors(pipeline: Pipeline, root: Path, *, on_end: Callable[[], None]) -> Mapping[str, Executor]:
    """Each that the file names; logs are under `root`, `on_end` tells of jobs that ended.

    One that no processor uses may still have jobs under way.

    Raises:
        SettingsError: `root` cannot be written, or an executor needs a package that is not installed.
    """
    try:
        found: dict[str, Executor] = {"local": LocalExecutor(root, on_end=on_end)}
    except OSError as error:
        raise SettingsError(f"{root}: {error.strerror}; check its owner and rights") from error
    if pipeline.executor.dask is not None:
        with extra("dask"):
            from backfilld.daemon.executors.dask.executor import DaskExecutor  # noqa: PLC0415  who has no cluster needs no Dask
        found["dask"] = DaskExecutor(root, pipeline.executor.dask, on_end=on_end)
    if pipeline.executor.cloud_run is not None:
        with extra("cloud-run"):
            from backfilld.daemon.executors.cloud_run.client import job_names  # noqa: PLC0415
            from backfilld.daemon.executors.cloud_run.executor import CloudRunExecutor  # noqa: PLC0415  as with Dask
        source = pipeline.executor.cloud_run
        found["cloud-run"] = CloudRunExecutor(root, source, job_names(pipeline, source), on_end=on_end)
    return found


@contextmanager
def extra(name: str) -> Iterator[None]:
    """For imports that the package's extra of this name has to bring. Raises SettingsError without it."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = f"pip install 'backfilld[{name}]'"
        raise SettingsError(f"the executor {name} needs {error.name}: {remedy}") from error
