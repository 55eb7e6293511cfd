"""The Cloud Run executor passes the suite of executors, on an HTTP server that answers as Cloud Run does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backfilld.daemon.executors.cloud_run import executor
from tests.conformance.executors.suite import Capabilities, ExecutorConformance, Rig
from tests.integration.cloud_run.client_driver import dead_launcher, driver_of
from tests.integration.cloud_run.stub import serving
from tests.integration.real_jobs import changed

CAPABILITIES = Capabilities(live_output=False, usage=False, kill_has_no_code=False, leftovers=False)


class TestCloudRun(ExecutorConformance):
    @pytest.fixture
    def rig(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
        monkeypatch.setattr(executor, "SEARCH_SECONDS", 0.15)
        cwd = tmp_path / "cwd"
        cwd.mkdir()
        with serving(cwd, "team") as api:
            api.grace = 2.0  # Cloud Run's own, ten seconds, whatever the caller asks for
            driver = driver_of(api, tmp_path / "attempts")
            yield Rig(
                driver=driver,
                never_started=lambda handle: changed(dead_launcher(handle), correlation_id="2-unknown"),
                capabilities=CAPABILITIES,
            )
            driver.executor.close()
