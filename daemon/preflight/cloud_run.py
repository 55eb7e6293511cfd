"""The check of the Cloud Run jobs that processors name."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.daemon.executors.registry import extra
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed
from backfilld.daemon.settings import SettingsError
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.sections import CloudRunSettings


def cloud_run_jobs(context: PreflightContext) -> Iterator[Finding]:
    """Each job exists, and its settings run a command once."""
    source = context.pipeline.executor.cloud_run
    if source is None or all(p.executor != "cloud-run" for p in context.pipeline.processors.values()):
        yield passed("no job runs there")
        return
    try:
        yield from _findings(context, source)
    except SettingsError as error:
        yield failed(str(error), "install it where the daemon runs")


def _findings(context: PreflightContext, source: CloudRunSettings) -> Iterator[Finding]:
    with extra("cloud-run"):
        from backfilld.daemon.executors.cloud_run.client import ApiUnavailable, CloudRunClient, job_names  # noqa: PLC0415  optional dependency
    client, good = CloudRunClient(source), 0
    for processor, job in job_names(context.pipeline, source).items():
        try:
            objection = client.objection(job)
        except ApiUnavailable as error:
            hint = f"check cloud_run_job, project, region and roles/run.developer: it is asked about {job}"
            yield failed(f"{processor}: {error}", hint)
            continue
        good += objection is None
        if objection is not None:
            yield failed(f"{processor}: {objection.why}", objection.remedy)
    yield passed(f"{pluralize(good, 'job')} can be executed, once each")
