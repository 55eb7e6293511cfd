"""An example of `examples/` with its own data and real jobs, in this process, under a clock that is moved."""

from __future__ import annotations

import datetime as dt
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from backfilld.daemon.adapters import load_pipeline
from backfilld.daemon.engine.bulk_request import DateQuery
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.engine.engine import Engine
from backfilld.daemon.engine.enqueue import Enqueuer
from backfilld.daemon.engine.enqueue_models import EnqueueRequest, EnqueueResult
from backfilld.daemon.engine.operator_commands import Commands
from backfilld.daemon.engine.retry_dates import Retry
from backfilld.daemon.event_types import Event
from backfilld.daemon.executors.local.check_command_runner import CheckProcesses
from backfilld.daemon.executors.open_executors import open_executors
from backfilld.daemon.reports.waiting_on import waiting_on
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.records import Actor, DateRow
from backfilld.state.rules.state_machine import FINAL, Machine
from backfilld.state.store import dates, stale_marks
from backfilld.state.store.database import Database
from tests import migrated
from tests.documents import ROOT
from tests.timeouts import PATIENCE

ME = Actor(name="me")
MOST_WAITED = 3600.0
"""Seconds that nothing in an example waits for."""
_FAULT = re.compile(r"^\| (?P<date>\d{4}-\d\d-\d\d) \| [^|]+ \| `(?P<sentence>[^`]+)` \|$", re.MULTILINE)


class ExamplePlatform:
    """A daemon's engine over a copy of an example."""

    def __init__(self, name: str, folder: Path, *setup: str) -> None:
        """`setup` is a command that follows `make_data.py`."""
        self.folder = folder / name
        shutil.copytree(ROOT / "examples" / name, self.folder)
        self.page = (self.folder / "README.md").read_text(encoding="utf-8")
        self.python("make_data.py")
        if setup:
            subprocess.run(setup, cwd=self.folder, check=True)
        self.pipeline = load_pipeline(self.folder / f"{name}.toml")
        self.db = Database(migrated.copy(folder / "state.db"))
        self.events: list[Event] = []
        self.moved = 0.0
        """Seconds by which the clock was moved."""
        self._ended = threading.Event()
        self.warehouse = open_warehouse(self.pipeline)
        self.executors = open_executors(self.pipeline, folder / "jobs", on_end=self._ended.set)
        self.context = EngineContext(
            pipeline=self.pipeline,
            machine=Machine(self.pipeline),
            db=self.db,
            state_dir=folder,
            now=self.now,
            emit=self.events.append,
            rng=random.Random(0),
        )
        self.checks = CheckProcesses(folder, on_end=self._ended.set)
        self.engine = Engine(self.context, self.warehouse, self.executors, self.checks)
        self.engine.recover()
        self.commands = Commands(self.context)

    def close(self) -> None:
        """Close executors, warehouse and database."""
        for executor in self.executors.values():
            executor.close()
        self.checks.close()
        self.warehouse.close()
        self.db.close()

    def now(self) -> float:
        """Epoch seconds."""
        return time.time() + self.moved

    def python(self, script: str, *arguments: str) -> None:
        """Run a script of the example, as its page says."""
        subprocess.run([sys.executable, script, *arguments], cwd=self.folder, check=True)

    def enqueue(self, start: str, end: str, **options: object) -> EnqueueResult:
        """Enqueue a range, and go on until no date moves by itself."""
        first, last = dt.date.fromisoformat(start).toordinal(), dt.date.fromisoformat(end).toordinal()
        span = tuple(map(dt.date.fromordinal, range(first, last + 1)))
        enqueuer = Enqueuer(self.context, self.engine.validator)
        result = enqueuer.enqueue(EnqueueRequest(dates=span, by=ME, **options))  # type: ignore[arg-type]
        self.run()
        return result

    def retry(self, start: str, end: str = "", **how: object) -> list[dt.date]:
        """Retry dates as the verb does, until no date moves by itself. Returns the dates that it changed."""
        marks = {"mark": how.pop("mark")} if "mark" in how else {}
        first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end or start)
        query = DateQuery(start=first, end=last, **marks)  # type: ignore[arg-type]
        changed = self.commands.retry_dates(query, Retry(**how), by=ME).changed  # type: ignore[arg-type]
        self.run()
        return changed

    def sweep(self) -> None:
        """Validate all done dates again, as the daemon does within `revalidate_within`."""
        self.moved += self.pipeline.engine.revalidate_within
        assert self.engine.sweeper.run() == len(self.dates())
        self.run()

    def run(self) -> None:
        """Go on until nothing can happen by itself; where no job runs, the clock moves to what comes next."""
        give_up_at, farthest = time.monotonic() + PATIENCE, self.moved + MOST_WAITED
        while time.monotonic() < give_up_at and self.moved < farthest:
            self._ended.clear()
            at = self.engine.tick()
            if self.engine.validate() or (at is not None and at <= self.now()):
                continue
            if self.engine.has_running_attempts() or self.checks.running:
                self._ended.wait(1.0)
            elif at is not None:
                self.moved += max(at - self.now(), 0.0) + 0.001
            else:
                return
        raise AssertionError("the example does not come to rest")

    def dates(self) -> Mapping[dt.date, DateRow]:
        """All dates."""
        with self.db.read() as tx:
            return {row.date: row for row in dates.page(tx, start=dt.date.min, end=dt.date.max, limit=1000)}

    def sentences(self) -> dict[str, str]:
        """Why each date that is not done failed or waits, and what is wrong with those that are done."""
        rows = self.dates()
        live = [row for row in rows.values() if row.state not in FINAL]
        with self.db.read() as tx:
            waiting = waiting_on(tx, self.context, live)
            stale = stale_marks.stale_outputs(tx, rows)
        causes = {date: [c for of_one in by_name.values() for c in of_one] for date, by_name in stale.items()}
        latest = {date: max(found, key=lambda c: (c.at, c.date)) for date, found in causes.items() if found}
        said = {str(date): row.reason or "" for date, row in rows.items() if row.state == "failed"}
        said |= {str(date): text for date, text in waiting.items()}
        return said | {
            str(date): f"computed from {cause.processor} of {cause.date}, which is stale"
            if cause.was_stale
            else f"computed before {cause.processor} of {cause.date} changed"
            for date, cause in latest.items()
        }


def faults(page: str) -> dict[str, str]:
    """The table of an example's page: the planted faults by date, with what backfilld says."""
    return {match["date"]: match["sentence"] for match in _FAULT.finditer(page)}
