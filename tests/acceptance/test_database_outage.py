"""The server of the state database goes away under a real daemon and comes back, as at its upgrade."""

import pytest
import requests

from tests import postgresql
from tests.acceptance.daemon import ONE_OF_EACH, daemon
from tests.timeouts import PATIENCE

pytestmark = pytest.mark.packages

DAY = "2021-10-19"
CONTINUES = "a running daemon continues by itself once that is fixed"


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_that_is_away_is_named_wherever_one_asks_and_work_goes_on_after(tmp_path, how):
    with (
        postgresql.running(durable=True) as server,
        daemon(tmp_path / "d", pace="1", database=server.empty(), processors=ONE_OF_EACH) as one,
    ):
        number = one.enqueue(DAY, DAY)
        # When the server stops while a date is under way
        server.stop(how)
        one.wait_for(lambda: one.ready().startswith("engine: "), "reporting the server")
        # Then readiness names it, as a line of the checks too
        unready = requests.get(f"{one.client.url}/readyz?verbose", timeout=PATIENCE)
        assert (unready.status_code, unready.headers["Content-Type"]) == (503, "text/plain; charset=utf-8")
        assert CONTINUES in unready.text
        assert "[+] timers ok" in unready.text.splitlines()
        # And the daemon lives, and its metrics say that it is not well
        assert requests.get(f"{one.client.url}/livez", timeout=PATIENCE).text == "ok\n"
        metrics = requests.get(f"{one.client.url}/metrics", timeout=PATIENCE)
        assert (metrics.status_code, 'backfilld_healthy{check="engine"} 0.0' in metrics.text) == (200, True)
        # And a change is refused for what is wrong, not for want of a leader
        refused = requests.post(f"{one.client.url}/v1/pause", json={}, timeout=PATIENCE)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        assert CONTINUES in refused.json()["detail"]
        # When it is back
        server.start()
        one.finish(number)
        assert one.outcomes(DAY, DAY) == {DAY: "bootstrap"}
        assert requests.post(f"{one.client.url}/v1/pause", json={}, timeout=PATIENCE).status_code == 200
        assert "Traceback" not in one.log(), one.log()
