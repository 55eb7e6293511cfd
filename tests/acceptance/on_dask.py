"""A real daemon, two of whose sources run on a Dask cluster, and what it says of them."""

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from backfilld.state.records import attempt_result
from tests.acceptance.daemon import FEW, Daemon, daemon

REMOTE = ("bigdataball_play_by_play", "nbac_team_boxscore")
GATE = 'touch "at-gate.$3"; until test -e go; do sleep 0.05; done; exec "$@"'
"""A shell script that says which job waits, and starts it once there is a file `go`."""


@contextmanager
def daemon_on(address: str, folder: Path, pace: str = "1", *, gated: bool = False) -> Iterator[Daemon]:
    """A started daemon whose jobs of REMOTE run on the cluster of that scheduler, `pace` seconds each.

    With `gated` they wait in the demo's folder for a file `go`.
    """
    lines = f'executor = "dask"\nenv = {{ DEMO_LAKE = "lake", DEMO_SECONDS = "{pace}" }}\n'
    changes = {f'name = "{name}"\n': f'name = "{name}"\n{lines}' for name in REMOTE}
    if gated:
        for name in REMOTE:
            command = f'"{{python}}", "-m", "backfilld.demo.jobs.{name}"'
            changes[command] = f'"sh", "-c", \'{GATE}\', "gate", {command}'
    changes["[jobs]\n"] = f'[executor.dask]\nscheduler = "{address}"\n\n[jobs]\n'
    with daemon(folder, changes=changes, processors={*FEW, *REMOTE}) as one:
        yield one


def attempts(one: Daemon) -> list[sqlite3.Row]:
    """All attempts on the cluster, the oldest first."""
    with closing(sqlite3.connect(one.state / "state.db")) as db:
        db.row_factory = sqlite3.Row
        return db.execute("SELECT * FROM attempts WHERE executor = 'dask' ORDER BY id").fetchall()


def results(rows: Sequence[sqlite3.Row]) -> list[str]:
    """How attempts ended, such as `exited 0`."""
    return [attempt_result(row["status"], row["exit_code"]) for row in rows]


def at_gate(one: Daemon) -> set[str]:
    """The processors whose gated job waits on the cluster."""
    return {path.suffix[1:] for path in one.folder.glob("at-gate.*")}


def overlaps(rows: Sequence[sqlite3.Row]) -> list[tuple[int, int]]:
    """Pairs of attempts that wrote one table at once, by the daemon's own account."""
    return [
        (a["id"], b["id"])
        for a, b in itertools.combinations(rows, 2)
        if a["output"] == b["output"] and b["started_at"] < a["ended_at"]
    ]
