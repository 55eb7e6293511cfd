"""The preflight check of Cloud Run jobs."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.daemon.executors.cloud_run.client import ApiUnavailable, CloudRunClient, job_names
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.daemon.preflight.findings import Finding, failed, passed
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.pipeline import Pipeline


def check_jobs(pipeline: Pipeline, name: str, settings: CloudRunSettings) -> Iterator[Finding]:
    """Whether the job of each processor exists and runs its command exactly once."""
    client, usable = CloudRunClient(settings), 0
    for processor, job in job_names(pipeline, name, settings).items():
        try:
            problem = client.config_problem(job)
        except ApiUnavailable as error:
            remedy = f"check cloud_run_job, project, region and roles/run.developer; the job is {job}"
            yield failed(f"{processor}: {error}", remedy)
            continue
        usable += problem is None
        if problem is not None:
            yield failed(f"{processor}: {problem.why}", problem.remedy)
    yield passed(f"{pluralize(usable, 'Cloud Run job')} can be executed, once each")
