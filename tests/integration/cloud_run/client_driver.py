"""An executor before the stand-in of Cloud Run, and what tests ask of both."""

import json
from collections.abc import Callable
from pathlib import Path

from backfilld.daemon.executors.cloud_run.executor import CloudRunExecutor
from backfilld.daemon.executors.cloud_run.settings import CloudRunSettings
from tests.integration.cloud_run.stub import PARENT, CloudRunStub
from tests.integration.executor_driver import ExecutorDriver
from tests.integration.real_jobs import changed

WAITS = "echo $$ >leader; until test -e end; do sleep 0.02; done; exit 7"
COMPLETED = (
    "execution team-00000 of the Cloud Run job team\noutput: https://console.example.com/logs/team-00000\n"
)


def driver_of(api: CloudRunStub, root: Path) -> ExecutorDriver:
    source = CloudRunSettings.model_validate(
        {"project": "p", "region": "us-west2", "endpoint": api.address, "look": "0.05s"}
    )
    names = {"team": f"{PARENT}/team"}
    return ExecutorDriver(
        api.cwd,
        lambda on_end: CloudRunExecutor(root, source, names, on_end=on_end),
        processor="team",
        timeout=1800.0,
    )


def status_message(driver: ExecutorDriver) -> str:
    """What keeps the one attempt under way; it has not ended."""
    (status,) = driver.executor.poll()
    assert status.result is None
    return status.status_message


def dead_launcher(handle: str) -> str:
    """The handle as a process that is gone recorded it."""
    launcher = json.loads(json.loads(handle)["launcher"])
    return changed(handle, launcher=json.dumps({**launcher, "start": 1}))


def on_run(does: Callable[[], object]) -> Callable[[str, str], None]:
    """For the stub: do something at each request to run a job."""

    def hook(method: str, path: str) -> None:
        if path.endswith(":run"):
            does()

    return hook
