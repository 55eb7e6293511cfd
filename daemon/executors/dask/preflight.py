"""The preflight check of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from backfilld.daemon.executors.dask.client import DaskClient
from backfilld.daemon.executors.dask.connection import UNAVAILABLE, TlsProblem
from backfilld.daemon.executors.dask.settings import DaskSettings
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.state.formatting import pluralize


def check_cluster(name: str, settings: DaskSettings) -> Iterator[Finding]:
    """Whether a scheduler answers, and whether its workers can run jobs."""
    try:
        with closing(DaskClient(settings, lambda: None)) as client:
            client.probe_workers()
            able, unable = client.able_workers, client.unable_workers
    except TlsProblem as error:
        hint = "set the keys in Dask's configuration, or scheduler in"
        yield failed(f"the connection lacks {error}", f"{hint} [executor.{name}]")
        return
    except UNAVAILABLE as error:
        line = f"no Dask scheduler answers at {settings.scheduler}: {error}"
        yield failed(line, f"start it, or correct scheduler in [executor.{name}]")
        return
    for worker, why in sorted(unable.items()):
        yield failed(f"the Dask worker {worker} cannot import backfilld: {why}", "install it there")
    if able:
        yield passed(f"{pluralize(len(able), 'Dask worker')} can run jobs")
    elif not unable:
        line = f"no worker that answers is connected to {settings.scheduler}"
        yield warned(line, "start one: jobs wait for it")
