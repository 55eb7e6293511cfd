"""The plugin of the kind `cloud-run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from backfilld.daemon.executors.adapter import Executor, ExecutorAdapter
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.daemon.executors.optional_packages import extra
from backfilld.daemon.preflight.findings import Finding
from backfilld.state.pipeline.pipeline import Pipeline


def _open(pipeline: Pipeline, name: str, root: Path, on_end: Callable[[], None]) -> Executor:
    with extra("cloud-run"):
        from backfilld.daemon.executors.cloud_run.client import job_names  # noqa: PLC0415
        from backfilld.daemon.executors.cloud_run.executor import CloudRunExecutor  # noqa: PLC0415
    settings = cast(CloudRunSettings, pipeline.executor[name])
    return CloudRunExecutor(root, settings, job_names(pipeline, name, settings), on_end=on_end)


def _preflight(pipeline: Pipeline, name: str) -> Iterable[Finding]:
    with extra("cloud-run"):
        from backfilld.daemon.executors.cloud_run.preflight import check_jobs  # noqa: PLC0415
    return check_jobs(pipeline, name, cast(CloudRunSettings, pipeline.executor[name]))


ADAPTER = ExecutorAdapter(settings=CloudRunSettings, open=_open, preflight=_preflight)
