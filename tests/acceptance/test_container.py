"""A daemon in a container, alone or under an init as in the image. `make test-hosts` runs these, as root."""

import os
import signal
from pathlib import Path

import pytest

from tests.acceptance.daemon import Daemon, daemon, jobs_alive

pytestmark = pytest.mark.hosts

DAY = "2021-10-19"
ONE_ATTEMPT = {"max_attempts = 3": "max_attempts = 1"}
"""A date fails with the first attempt that counts and leaves no rows."""
CONTAINER = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
INIT = ("tini", "--")
"""Before `backfilld` in the ENTRYPOINT of the Containerfile."""


def stop_container(one: Daemon, number: signal.Signals) -> None:
    """Signal its first process, whose end ends all other processes."""
    assert one.process is not None
    children = Path(f"/proc/{one.process.pid}/task/{one.process.pid}/children").read_text()
    os.kill(int(children), number)
    one.ended()
    one.wait_for(lambda: not jobs_alive(one.folder), "without jobs")


@pytest.mark.parametrize("init", [(), INIT], ids=["itself", "under an init"])
@pytest.mark.parametrize(
    ("number", "outcome", "detail"),
    [
        (signal.SIGTERM, "bootstrap", "preempted: "),
        (signal.SIGKILL, "exhausted", "lost: "),
    ],
)
def test_a_container_that_is_stopped_in_order_costs_no_attempt_and_one_that_is_killed_does(
    tmp_path, number, outcome, detail, init
):
    with daemon(tmp_path / "d", pace="60", changes=ONE_ATTEMPT, start=False) as one:
        one.before = (*CONTAINER, *init)
        one.start()
        backfill = one.enqueue(DAY, DAY)
        one.wait_for(lambda: one.log().count(" starts\n") == 5, "at work")
        stop_container(one, number)
        assert ("running jobs end with this container" in one.log()) == (number == signal.SIGTERM)
        # In the next container of the same volume
        one.pipeline.write_text(one.pipeline.read_text().replace('DEMO_SECONDS = "60"', 'DEMO_SECONDS = "0"'))
        one.start()
        one.finish(backfill)
        assert one.outcomes(DAY, DAY) == {DAY: outcome}
        lost = [a["detail"] for a in one.client.all("/v1/attempts") if a["status"] == "lost"]
        assert len(lost) == 5
        assert all(text.startswith(detail) for text in lost)
        stop_container(one, signal.SIGTERM)
