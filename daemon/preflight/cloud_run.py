"""The check of the Cloud Run jobs that processors name."""

from __future__ import annotations

from collections.abc import Iterator

from daemon.config import SettingsError
from daemon.executors.factory import extra
from daemon.plain import counted
from daemon.preflight.findings import Finding, failed, passed
from daemon.preflight.site import Site
from state.sources import CloudRunJobs


def cloud_run_jobs(site: Site) -> Iterator[Finding]:
    """Each is there, and runs what it is given once."""
    source = site.pipeline.executor.cloud_run
    if source is None or all(p.executor != "cloud-run" for p in site.pipeline.processors.values()):
        yield passed("no job runs there")
        return
    try:
        yield from _findings(site, source)
    except SettingsError as error:
        yield failed(str(error), "install it where the daemon runs")


def _findings(site: Site, source: CloudRunJobs) -> Iterator[Finding]:
    with extra("cloud-run"):
        from daemon.executors.cloud_run_api import Api, Away, job_names  # noqa: PLC0415  not everybody has it
    api, good = Api(source), 0
    for processor, job in job_names(site.pipeline, source).items():
        try:
            objection = api.objection(job)
        except Away as error:
            hint = f"check cloud_run_job, project, region and roles/run.developer: it is asked about {job}"
            yield failed(f"{processor}: {error}", hint)
            continue
        good += objection is None
        if objection is not None:
            yield failed(f"{processor}: {objection.why}", objection.remedy)
    yield passed(f"{counted(good, 'job')} can be executed, once each")
