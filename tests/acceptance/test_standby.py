"""Two real daemons on one PostgreSQL database: one leads, the other stands by and takes over."""

import contextlib
import datetime as dt
import itertools
import signal

import pytest
import requests
import sqlalchemy as sa

from backfilld.state.store.database import Database
from tests.acceptance.daemon import daemon
from tests.timeouts import PATIENCE

DAY = "2021-10-19"
LEADERS = "FROM pg_stat_activity WHERE application_name ~ ':\\d+ since '"
"""The session that holds the lead is named after its daemon."""
SILENT = "terminating connection due to idle-session timeout"
"""What the server logs when it ends the session of a leader that does not run."""


@contextlib.contextmanager
def at(folder, url, **options):
    """A daemon with its own state directory, as on a machine of its own."""
    with daemon(folder, start=False, database=url, **options) as one:
        yield one


@pytest.fixture
def pair(request, tmp_path, postgresql_server):
    """Two daemons of one pipeline, the first leads, the second stands by; their program is the parameter."""
    url = postgresql_server.empty()
    with at(tmp_path / "one", url, pace="1") as one, at(tmp_path / "two", url, pace="1") as two:
        one.program = two.program = getattr(request, "param", one.program)
        # One lake for both, and so one pipeline file
        two.pipeline = one.pipeline
        one.start()
        two.launch()
        two.wait_for(lambda: standing_by(two), "standing by")
        yield one, two, url


def standing_by(one):
    try:
        return one.ready().startswith("standby: leader is ")
    except requests.ConnectionError:
        return False


def leads(one):
    return one.ready() == "ok\n"


def roles(pair, server, sessions_before):
    """The leader and the standby, once the lead is with another session and both say so; else None.

    One look for all of it: until then either may still answer as before.
    """
    for leader, standby in itertools.permutations(pair):
        session = f"SELECT pid {LEADERS} AND application_name ~ ':{leader.process.pid} since '"
        now = server.ask("postgres", session)
        if now and now != sessions_before and leads(leader) and standing_by(standby):
            return leader, standby
    return None


def running(url):
    with contextlib.closing(Database(url)) as db, db.read() as tx:
        found = tx.execute(sa.text("SELECT id FROM attempts WHERE status = 'running' AND handle IS NOT NULL"))
        return {row.id for row in found}


def overlaps(url):
    """Pairs of attempts for the same date and processor, or the same table's writer, at the same time."""
    with contextlib.closing(Database(url)) as db, db.read() as tx:
        rows = tx.execute(sa.text("SELECT * FROM attempts ORDER BY id")).all()
    return [
        (a.id, b.id)
        for a, b in itertools.combinations(rows, 2)
        if (a.output, a.writer) == (b.output, b.writer) and b.started_at < (a.ended_at or float("inf"))
    ]


def test_a_standby_answers_reads_and_refuses_changes_with_the_leader_named(pair):
    one, two, _ = pair
    number = one.enqueue(DAY, DAY)
    assert two.status(number) in ("active", "finished")
    base = f"http://127.0.0.1:{two.port}"
    assert requests.get(f"{base}/livez", timeout=PATIENCE).status_code == 200
    assert requests.get(f"{base}/readyz", timeout=PATIENCE).status_code == 503
    refused = requests.post(f"{base}/v1/backfills", json={"start": DAY, "end": DAY}, timeout=PATIENCE)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert f":{one.process.pid} since {dt.datetime.now(dt.UTC):%Y}" in refused.json()["detail"]


def test_a_leader_that_loses_its_session_stands_by_or_leads_again_and_nothing_runs_twice(
    pair, postgresql_server
):
    one, two, url = pair
    number = one.enqueue(DAY, DAY)
    one.wait_for(lambda: running(url), "running")
    before = postgresql_server.ask("postgres", f"SELECT pid {LEADERS}")
    cut = f"SELECT pg_terminate_backend(pid) {LEADERS}"
    assert postgresql_server.ask("postgres", cut) == [(True,)]
    leader, other = one.wait_for(lambda: roles((one, two), postgresql_server, before), "led by one of them")
    leader.finish(number)
    # When the leader ends in order, the standby leads at once
    assert leader.signal(signal.SIGTERM) == 0
    other.wait_for(lambda: leads(other), "leading")
    other.finish(other.enqueue("2021-10-20", "2021-10-20"))
    assert overlaps(url) == []


def test_a_standby_replaces_a_killed_leader_as_its_session_ends_and_nothing_runs_twice(
    pair, postgresql_server
):
    one, two, url = pair
    number = one.enqueue("2021-10-19", "2021-10-20")
    one.wait_for(lambda: running(url), "running")
    before = postgresql_server.log().count(SILENT)
    one.signal(signal.SIGKILL)
    two.wait_for(lambda: leads(two), "leading")
    # Then its session ended with it, and not after minutes of silence
    assert postgresql_server.log().count(SILENT) == before
    # When the machine's daemon comes back, it stands by, and tells how the jobs there ended
    one.launch()
    one.wait_for(lambda: standing_by(one), "standing by")
    two.finish(number)
    assert overlaps(url) == []
    assert set(two.outcomes("2021-10-19", "2021-10-20").values()) == {"bootstrap"}


SOON = """
from backfilld.state.store import leader_election
leader_election.IDLE_SECONDS = 20.0
from backfilld.api.cli.main import main
main()
"""
"""The program, which waits 20 s for a leader that does not run, and not 5 minutes."""


@pytest.mark.parametrize("pair", [("-c", SOON)], indirect=True, ids=["soon"])
def test_a_suspended_leader_is_replaced_and_never_writes_beside_its_successor(pair, postgresql_server):
    one, two, url = pair
    # Given a leader that is suspended while its jobs run
    number = one.enqueue(DAY, DAY)
    one.wait_for(lambda: running(url), "running")
    one.process.send_signal(signal.SIGSTOP)
    # Then the standby names it, and leads once the server has ended its session
    assert f":{one.process.pid} since " in two.ready()
    two.wait_for(lambda: leads(two), "leading")
    assert SILENT in postgresql_server.log()
    # When it continues, it becomes a standby, and reports how its own jobs ended
    one.process.send_signal(signal.SIGCONT)
    one.wait_for(lambda: standing_by(one), "standing by")
    assert f":{two.process.pid} since " in one.ready()
    assert "leadership is lost" in one.log()
    two.finish(number)
    assert overlaps(url) == []
    assert set(two.outcomes(DAY, DAY).values()) == {"bootstrap"}
