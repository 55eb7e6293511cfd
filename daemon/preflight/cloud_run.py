"""The check of the Cloud Run jobs that processors name."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.daemon.executors.registry import extra
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed
from backfilld.daemon.settings import SettingsError
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.sections import CloudRunSettings


def cloud_run_jobs(site: PreflightContext) -> Iterator[Finding]:
    """Each is there, and runs what it is given once."""
    source = site.pipeline.executor.cloud_run
    if source is None or all(p.executor != "cloud-run" for p in site.pipeline.processors.values()):
        yield passed("no job runs there")
        return
    try:
        yield from _findings(site, source)
    except SettingsError as error:
        yield failed(str(error), "install it where the daemon runs")


def _findings(site: PreflightContext, source: CloudRunSettings) -> Iterator[Finding]:
    with extra("cloud-run"):
        from backfilld.daemon.executors.cloud_run.client import ApiUnavailable, CloudRunClient, job_names  # noqa: PLC0415  not everybody has it
    api, good = CloudRunClient(source), 0
    for processor, job in job_names(site.pipeline, source).items():
        try:
            problem = api.config_problem(job)
        except ApiUnavailable as error:
            hint = f"check cloud_run_job, project, region and roles/run.developer: it is asked about {job}"
            yield failed(f"{processor}: {error}", hint)
            continue
        good += problem is None
        if problem is not None:
            yield failed(f"{processor}: {problem.why}", problem.remedy)
    yield passed(f"{pluralize(good, 'job')} can be executed, once each")
