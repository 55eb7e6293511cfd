"""The local executor passes the suite of executors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.executors.suite import ExecutorConformance, Rig
from tests.integration.local_jobs import earlier_daemon, local_driver, recorded_handles


class TestLocal(ExecutorConformance):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        cwd = tmp_path / "cwd"
        cwd.mkdir()
        driver = local_driver(tmp_path / "attempts", cwd)

        def never_started(_: str) -> str:
            """The handle of a daemon that died after the record, as attempt 2."""
            with earlier_daemon(driver, "touch ran", "dies after the record", attempt=2):
                pass
            handle = recorded_handles(driver)[2]
            assert handle is not None
            return handle

        yield Rig(driver=driver, never_started=never_started)
        driver.stop_all()
