"""Which executors a daemon opens: what its pipeline uses, and what its installation has."""

import subprocess
import sys
from pathlib import Path

import pytest

from backfilld.daemon.executors.cloud_run.client import job_names
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from backfilld.daemon.executors.open_executors import open_executor, open_executors
from backfilld.daemon.settings import SettingsError
from backfilld.state.pipeline.pipeline import Pipeline
from tests.factories import phase, pipeline, processor
from tests.missing_packages import missing

PLACES = {
    "dask": {"scheduler": "tcp://127.0.0.1:1"},
    "cloud-run": {"project": "p", "region": "us-west2", "endpoint": "http://127.0.0.1:1"},
}
PACKAGES = {"dask": "distributed", "cloud-run": "google.cloud.run_v2"}


def opened(made: Pipeline, folder: Path) -> list[str]:
    found = open_executors(made, folder, on_end=lambda: None)
    for executor in found.values():
        executor.close()
    return list(found)


def test_without_other_places_jobs_run_here(tmp_path: Path) -> None:
    assert opened(pipeline(phase("raw", processor("a"))), tmp_path) == ["local"]


def test_where_no_log_can_be_kept_the_daemon_says_so(tmp_path: Path) -> None:
    (tmp_path / "attempts").write_text("")
    with pytest.raises(SettingsError, match=r"attempts: cannot keep job logs here: .*check its owner"):
        opened(pipeline(phase("raw", processor("a"))), tmp_path / "attempts")


def test_a_place_is_opened_whether_it_answers_or_not_and_whoever_uses_it(tmp_path: Path) -> None:
    """It may have jobs under way that an earlier file sent there."""
    made = pipeline(phase("raw", processor("a")), executor={"cloud-run": PLACES["cloud-run"]})
    assert opened(made, tmp_path) == ["local", "cloud-run"]


@pytest.mark.parametrize("name", PACKAGES)
def test_without_the_package_the_remedy_is_told(tmp_path: Path, name: str) -> None:
    made = pipeline(phase("raw", processor("a", executor=name)), executor={name: PLACES[name]})
    own = f"backfilld.daemon.executors.{name.replace('-', '_')}"
    with missing(PACKAGES[name], importer=own), pytest.raises(SettingsError) as raised:
        open_executor(made, name, tmp_path, on_end=lambda: None)
    needs = f"the executor {name} needs {PACKAGES[name]}: pip install 'backfilld[{name}]'"
    assert str(raised.value) == needs


def test_the_cloud_run_job_of_a_processor_is_what_it_names_or_what_it_is_called() -> None:
    own = processor("box_scores", executor="cloud-run", cloud_run_job="raw-box")
    made = pipeline(phase("raw", own, processor("play_by_play", executor="cloud-run")), executor=PLACES)
    place = made.executor["cloud-run"]
    assert isinstance(place, CloudRunSettings)
    parent = "projects/p/locations/us-west2/jobs"
    expected = {"box_scores": f"{parent}/raw-box", "play_by_play": f"{parent}/play-by-play"}
    assert job_names(made, "cloud-run", place) == expected


def test_the_process_that_guards_a_job_on_a_dask_worker_imports_no_pipeline() -> None:
    program = "import sys, backfilld.daemon.executors.dask.orphan_killer; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"pydantic", "backfilld.state.pipeline.pipeline"} & set(run.stdout.split())
