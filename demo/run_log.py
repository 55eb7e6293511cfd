"""Who ran when: one line when a job starts and one when it ends, for whoever checks the daemon afterwards.

The lines go to `<lake>/_runs.jsonl`, each in a single appending write, so that lines of jobs that run at
the same time never mix. A job that is killed leaves a start without an end.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

FILE = "_runs.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a job. Times are epoch seconds."""

    run: str
    processor: str
    dates: tuple[date, ...]
    pid: int
    attempt: str | None
    """What BACKFILLD_ATTEMPT said."""
    started: float
    ended: float | None = None
    """None while it runs, and for ever when it was killed."""
    exit_code: int | None = None


def start(lake: Path, processor: str, dates: Sequence[date]) -> str:
    """Note that a job begins, and return the name of this run."""
    run = f"{os.getpid()}-{os.urandom(4).hex()}"
    days = [day.isoformat() for day in dates]
    attempt = os.environ.get("BACKFILLD_ATTEMPT")
    _append(lake, {"run": run, "processor": processor, "dates": days, "pid": os.getpid(), "attempt": attempt})
    return run


def end(lake: Path, run: str, exit_code: int) -> None:
    """Note that a job is about to exit."""
    _append(lake, {"run": run, "exit_code": exit_code})


def runs(lake: Path) -> list[Run]:
    """All runs in the order in which they began."""
    found: dict[str, Run] = {}
    for line in _lines(lake):
        if "processor" in line:
            found[line["run"]] = Run(
                run=line["run"],
                processor=line["processor"],
                dates=tuple(date.fromisoformat(day) for day in line["dates"]),
                pid=line["pid"],
                attempt=line["attempt"],
                started=line["at"],
            )
        else:
            run = found[line["run"]]
            found[run.run] = replace(run, ended=line["at"], exit_code=line["exit_code"])
    return list(found.values())


def overlapping(executions: Iterable[Run]) -> list[tuple[Run, Run]]:
    """The pairs that ran at the same time. A run without an end counts as a moment."""
    ordered = sorted(executions, key=lambda run: run.started)
    return [(one, two) for one, two in combinations(ordered, 2) if two.started < (one.ended or one.started)]


def _append(lake: Path, line: dict[str, object]) -> None:
    text = json.dumps(line | {"at": time.time()}) + "\n"
    descriptor = os.open(lake / FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _lines(lake: Path) -> Iterator[dict[str, Any]]:
    if (lake / FILE).exists():
        with (lake / FILE).open() as file:
            yield from map(json.loads, file)
