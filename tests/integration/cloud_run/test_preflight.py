"""What preflight finds in the Cloud Run jobs of a pipeline file."""

import datetime as dt

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.executors import executors
from backfilld.state.pipeline.pipeline import Pipeline
from tests.checkout import Tables
from tests.factories import NOW, phase, pipeline, processor
from tests.fake_warehouse import FakeWarehouse
from tests.integration.cloud_run.stub import PARENT, CloudRunStub


def site_of(made: Pipeline) -> PreflightContext:
    day = dt.date(2021, 10, 19)
    return PreflightContext(
        pipeline=made,
        warehouse=FakeWarehouse(made),
        catalog=Tables(made),
        start=day,
        end=day,
        state_dir=None,
        database_url=None,
        now=NOW,
    )


def test_preflight_finds_jobs_that_are_missing_or_would_run_more_than_once(api: CloudRunStub) -> None:
    api.add("zones", retries=3)
    place = {"project": "p", "region": "us-west2", "endpoint": api.address}
    away = [processor(name, executor="cloud-run") for name in ("team", "box_scores", "zones")]
    made = pipeline(phase("raw", *away, processor("local")), executor={"cloud-run": place})
    found = [(one.status.value, one.line, one.hint) for one in executors(site_of(made))]
    assert found == [
        (
            "fail",
            "box_scores: Cloud Run answers 404: Resource 'box-scores' of kind 'JOB' does not exist.",
            f"check cloud_run_job, project, region and roles/run.developer; the job is {PARENT}/box-scores",
        ),
        (
            "fail",
            "zones: zones retries a failed task by itself, 3 times",
            "gcloud run jobs update zones --project p --region us-west2 --max-retries 0",
        ),
        ("pass", "1 Cloud Run job can be executed, once each", ""),
    ]


def test_preflight_asks_nothing_where_no_job_runs_there() -> None:
    made = pipeline(phase("raw", processor("team")))
    assert [one.line for one in executors(site_of(made))] == ["the executors need no check"]
