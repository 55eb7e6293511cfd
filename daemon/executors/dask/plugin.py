"""The plugin of the kind `dask`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from backfilld.daemon.executors.adapter import Executor, ExecutorAdapter
from backfilld.daemon.executors.dask.settings import DaskSettings
from backfilld.daemon.executors.optional_packages import extra
from backfilld.daemon.preflight.findings import Finding
from backfilld.state.pipeline.pipeline import Pipeline


def _open(pipeline: Pipeline, name: str, root: Path, on_end: Callable[[], None]) -> Executor:
    with extra("dask"):
        from backfilld.daemon.executors.dask.executor import DaskExecutor  # noqa: PLC0415

    return DaskExecutor(root, cast(DaskSettings, pipeline.executor[name]), on_end=on_end)


def _preflight(pipeline: Pipeline, name: str) -> Iterable[Finding]:
    with extra("dask"):
        from backfilld.daemon.executors.dask.preflight import check_cluster  # noqa: PLC0415

    return check_cluster(name, cast(DaskSettings, pipeline.executor[name]))


ADAPTER = ExecutorAdapter(settings=DaskSettings, open=_open, preflight=_preflight)
