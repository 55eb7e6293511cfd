"""The engine's invariants, as docs/architecture.md lists them: the real engine and store, simulated jobs."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backfilld.daemon.engine.enqueue_models import EnqueueRequest
from backfilld.daemon.service import Service
from backfilld.daemon.settings import Settings
from backfilld.state.records import CheckRow
from backfilld.state.rules.judge import Judgement
from backfilld.state.rules.state_machine import FINAL
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import attempts, checks, dates, transitions
from backfilld.state.store.checks import CheckResult
from tests.simulation.season import DAY, OPENER, SEASON, shape
from tests.simulation.world import ME, World
from tests.timeouts import PATIENCE


@pytest.fixture
def world(tmp_path: Path, state_url: str) -> Iterator[World]:
    world = World(shape(), SEASON, tmp_path, url=state_url)
    yield world
    world.db.close()


def check_of(world: World, date: dt.date, processor: str) -> CheckRow:
    with world.db.read() as tx:
        return checks.for_dates(tx, [date])[date][processor]


def test_an_earlier_date_that_was_never_enqueued_blocks_a_sequential_phase(world: World) -> None:
    world.enqueue(DAY, DAY)
    world.run()
    row = world.dates()[DAY]
    assert row.waiting == "earlier_date"
    assert row.waiting_text.startswith(str(OPENER))


def test_a_requested_check_may_not_start_and_outdates_the_query_under_way(world: World) -> None:
    # Given a check that may start, and a query of it under way
    world.enqueue(OPENER, OPENER)
    world.engine.tick()
    with world.db.write() as tx:
        checks.set_runnable(tx, [(OPENER, "box")])
    before = check_of(world, OPENER, "box")
    # When it is requested again
    with world.db.write() as tx:
        checks.request_check(tx, [(OPENER, "box")], world.time + 5)
    # Then it is due at that time, may not start, and the answer under way is not stored
    after = check_of(world, OPENER, "box")
    assert before.runnable
    assert not after.runnable
    assert (after.query_due_at, after.generation) == (world.time + 5, before.generation + 1)
    result = CheckResult(
        date=OPENER,
        processor="box",
        output="nba.box",
        generation=before.generation,
        judgement=Judgement(verdict=Verdict.COMPLETE, rows=1, expected="1", reason=""),
        asked_at=world.time,
        ask_again_at=None,
    )
    with world.db.write() as tx:
        assert checks.save(tx, [result]) == set()
    assert check_of(world, OPENER, "box") == after


def test_no_query_is_sent_and_no_job_started_inside_a_write_transaction(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a database that knows when a write transaction is open
    open_writes: list[int] = []
    begin = world.db.write

    @contextmanager
    def write(**options: Any) -> Iterator[Any]:
        with begin(**options) as tx:
            open_writes.append(1)
            try:
                yield tx
            finally:
                open_writes.pop()

    outside: list[str] = []

    def guarded(owner: object, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def check(*values: Any, **options: Any) -> Any:
            assert not open_writes, name
            outside.append(name)
            return call(*values, **options)

        monkeypatch.setattr(owner, name, check)

    monkeypatch.setattr(world.db, "write", write)
    for name in ("evidence", "counts"):
        guarded(world.warehouse, name)
    for name in ("poll", "stop", "recover", "launch"):
        guarded(world.executor, name)
    # When dates run from request to done
    world.enqueue(OPENER, DAY)
    world.run()
    # Then the warehouse and the executor were called, and never inside one
    assert {"evidence", "counts", "poll", "launch"} <= set(outside)
    assert not world.live()


def test_a_claim_is_committed_before_its_job_is_launched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[int] = []
    launch = world.executor.launch

    def committed(jobs: Any, record: Any) -> None:
        with world.db.read() as tx:
            running = {row.id for row in attempts.running(tx)}
        assert {job.attempt for job in jobs} <= running
        launched.extend(job.attempt for job in jobs)
        launch(jobs, record)

    monkeypatch.setattr(world.executor, "launch", committed)
    world.enqueue(OPENER, DAY)
    world.run()
    assert launched
    assert not world.live()


def state_of(service: Service, date: dt.date) -> str:
    with service.db.read() as tx:
        row = dates.get(tx, date)
    return row.state if row is not None else ""


PIPELINE = """
name = "small"
warehouse = { kind = "lake", path = "lake" }
jobs = { max_attempts = 1, confirm_after = "0s" }
[[phase]]
name = "phase2"
processor = [{ name = "box", table = "nba.box", command = ["true"] }]
"""


def test_only_the_engine_thread_claims_closes_and_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a real daemon, and a record of the threads that claim, close and move
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    (tmp_path / "lake").mkdir()
    threads: dict[str, set[str]] = {}

    def recorded(owner: object, name: str) -> None:
        call: Callable[..., Any] = getattr(owner, name)

        def note(*values: Any, **options: Any) -> Any:
            threads.setdefault(name, set()).add(threading.current_thread().name)
            return call(*values, **options)

        monkeypatch.setattr(owner, name, note)

    recorded(attempts, "claim")
    recorded(attempts, "close")
    recorded(transitions, "move")
    settings = Settings(
        pipeline=tmp_path / "pipeline.toml", state_dir=tmp_path / "state", host="127.0.0.1", port=0
    )
    service = Service(settings)
    service.start()
    # When a date runs to its end
    service.enqueuer.enqueue(EnqueueRequest(dates=(OPENER,), by=ME))
    service.wake()

    deadline = time.monotonic() + PATIENCE
    while state_of(service, OPENER) not in FINAL:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert service.stop()
    # Then all of it happened in the engine worker's thread
    assert threads == {"claim": {"engine"}, "close": {"engine"}, "move": {"engine"}}
