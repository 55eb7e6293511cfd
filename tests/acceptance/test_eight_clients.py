"""Eight people at once on the same dates while jobs run: every change counts, and nothing breaks.

EIGHT_CLIENTS_SECONDS=60 makes it a long run, BACKFILLD_TESTS_ON=postgresql one on PostgreSQL.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests

from backfilld.api.auth.tokens import Scope, mint
from backfilld.api.cli.client import ApiError, Client
from tests.acceptance.audit import asking, overlaps, wrong_rows
from tests.acceptance.daemon import FEW, Daemon, daemon, jobs_alive
from tests.timeouts import PATIENCE

SECONDS = float(os.environ.get("EIGHT_CLIENTS_SECONDS", "3"))
NAMES = tuple(f"client-{number}" for number in range(8))
DATES = tuple(f"2021-10-{day}" for day in range(19, 22))
ENDED = ("finished", "cancelled")


@dataclass
class Person:
    """Somebody who does everything, without asking the others."""

    name: str
    url: str
    token: str
    seed: int
    answers: list[tuple[str, str, int, Any]] = field(default_factory=list)
    """Of each request: its id, what was asked, the status, and the body of the answer."""

    def work(self, until: float) -> None:
        rng = random.Random(self.seed)
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {self.token}"
            while time.monotonic() < until:
                self._ask(session, *self._choose(rng))

    def _choose(self, rng: random.Random) -> tuple[str, dict[str, object]]:
        number = rng.randint(1, 12)
        start, end = sorted((rng.choice(DATES), rng.choice(DATES)))
        date = rng.choice(DATES)
        return rng.choice(
            (
                ("backfills", {"start": start, "end": end, "force": rng.random() < 0.3}),
                ("backfills", {"start": DATES[0], "end": DATES[-1], "priority": rng.randint(-5, 5)}),
                *((f"backfills/{number}/{verb}", {}) for verb in ("pause", "resume", "cancel", "retry")),
                (f"dates/{date}/retry", {"force": rng.random() < 0.5}),
                ("pause", {"reason": self.name}),
                ("resume", {}),
            )
        )

    def _ask(self, session: requests.Session, path: str, body: dict[str, object]) -> None:
        number = f"{self.name}.{len(self.answers)}"
        headers = {"X-Request-Id": number}
        with session.post(f"{self.url}/v1/{path}", json=body, headers=headers, timeout=PATIENCE) as answer:
            self.answers.append((number, path, answer.status_code, answer.json()))


@contextlib.contextmanager
def guarded(folder: Path, pace: str, database: str) -> Iterator[tuple[Daemon, list[Person]]]:
    """A daemon that knows eight people by their tokens."""
    made = {name: mint(name, Scope.OPERATE) for name in NAMES}
    file = folder / "tokens"
    file.touch(mode=0o600)
    file.write_text("\n".join(line for _, line in made.values()))
    options = ("--tokens", str(file))
    with daemon(folder / "d", pace=pace, processors=FEW, options=options, database=database) as one:
        token, _ = made[NAMES[0]]
        one.client = Client(one.client.url, token)
        people = [
            Person(name, one.client.url, token, seed) for seed, (name, (token, _)) in enumerate(made.items())
        ]
        yield one, people


def test_eight_clients_at_once_lose_nothing(tmp_path: Path, database: str) -> None:
    # Given eight people who enqueue, pause, resume, cancel and retry the same dates, while jobs run
    with guarded(tmp_path, pace="0.1", database=database) as (one, people):
        with ThreadPoolExecutor(len(people)) as pool:
            until = time.monotonic() + SECONDS
            list(pool.map(lambda person: person.work(until), people))
        # When all is let go again
        _settle(one)
        answers = [answer for person in people for answer in person.answers]
        changes = list(one.client.all("/v1/audit"))[::-1]
        progress = one.client.get("/v1/progress")
        standing = Counter(d["state"] for d in one.client.all("/v1/dates"))
        listed = {b["id"]: b for b in one.client.all("/v1/backfills")}
        assert not jobs_alive(one.folder)
        # Then every answer was a good one or a plain refusal
        statuses = Counter(status for _, _, status, _ in answers)
        told = f"{len(answers)} requests in {SECONDS:.0f} s: {dict(statuses)}; {len(changes)} changes\n"
        sys.stdout.write(told)
        assert set(statuses) <= {200, 201, 404, 409}, statuses
        assert statuses[201] == len(listed)
        assert "Traceback" not in one.log()
    # And the database tells one story, without a gap
    assert not _lost_updates(answers, changes)
    # A cancelled job has no time to write its own end, so the lake says nothing against an attempt
    wrong = [line for line in wrong_rows(one.database, one.lake) if not line.startswith("attempt ")]
    assert not wrong
    assert not _wrong_tallies(one.database)
    assert {state: n for state, n in progress["states"].items() if n} == dict(standing)
    assert not overlaps(one.lake)


def _settle(one: Daemon) -> None:
    """Lift all that is held or paused, and wait until every date has ended."""
    one.client.post("/v1/resume")
    for backfill in one.client.all("/v1/backfills"):
        if backfill["status"] not in (*ENDED, "cancelling"):
            with contextlib.suppress(ApiError):
                one.client.post(f"/v1/backfills/{backfill['id']}/resume")

    def at_rest() -> bool:
        for hold in one.client.get("/v1/holds")["items"]:
            one.client.delete(f"/v1/holds/{hold['kind']}/{hold['key']}".rstrip("/"))
        return all(b["status"] in ENDED for b in one.client.all("/v1/backfills"))

    one.wait_for(at_rest, "at rest")


def _lost_updates(answers: list[tuple[str, str, int, Any]], changes: list[dict[str, Any]]) -> list[str]:
    """Requests without their one row, rows without a request, rows that do not follow from the one before."""
    good = {number: (path, body) for number, path, status, body in answers if status in (200, 201)}
    rows = Counter(change["request_id"] for change in changes)
    wrong = [f"{number} has {n} rows" for number, n in rows.items() if n > 1 and number in good]
    refused = {number for number, _, status, _ in answers if status >= 400}
    wrong += [f"{number} was refused and has a row" for number in refused & rows.keys()]
    created = {body["id"]: number for number, (path, body) in good.items() if path == "backfills"}
    recorded = {int(c["target"].split()[1]): c["request_id"] for c in changes if c["action"] == "enqueue"}
    wrong += [f"{created} is not {recorded}"] if created != recorded else []
    retried = {number for number, (path, _) in good.items() if path.startswith("dates/")}
    wrong += [f"{number} put a date back, and has no row" for number in retried - rows.keys()]
    # A pause is changed by people alone: what one change leaves is what the next one finds.
    chains: dict[str, list[tuple[Any, Any]]] = defaultdict(list)
    for change in changes:
        chains[change["target"]].append((change["before"], change["after"]))
    for target, chain in chains.items():
        if target == "everything":
            steps = chain
        elif target.startswith("backfill "):
            steps = [(before["paused"], after["paused"]) for before, after in chain if before is not None]
        else:
            continue
        wrong += [
            f"{target}: {left} became {found}" for (_, left), (found, _) in pairwise(steps) if left != found
        ]
    return wrong


def _wrong_tallies(url: str) -> list[str]:
    """Counts that triggers keep, where they differ from the rows."""
    counted = "SELECT season, state, COUNT(*) AS n FROM dates GROUP BY 1, 2 ORDER BY 1, 2"
    tallied = counted.replace("COUNT(*) AS n FROM dates", "SUM(n) AS n FROM date_counts")
    tallied = tallied.replace(" ORDER", " HAVING SUM(n) <> 0 ORDER")
    with asking(url) as ask:
        rows, told = ask(counted), ask(tallied)
    return [] if rows == told else [f"tallies: {told}, rows: {rows}"]
