"""The log of runs: a line when a job starts and one when it ends, to check the daemon afterwards.

The lines go to `<lake>/_runs.jsonl`, each in a single appending write, so that lines of concurrent jobs never
mix. A killed job leaves a start without an end.
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
    """The value of BACKFILLD_ATTEMPT."""
    started: float
    ended: float | None = None
    """None while it runs, and if it was killed."""
    exit_code: int | None = None


def start(lake: Path, processor: str, dates: Sequence[date]) -> str:
    """Record the start of a job, and return the name of the run."""
    run = f"{os.getpid()}-{os.urandom(4).hex()}"
    days = [day.isoformat() for day in dates]
    attempt = os.environ.get("BACKFILLD_ATTEMPT")
    _append(lake, {"run": run, "processor": processor, "dates": days, "pid": os.getpid(), "attempt": attempt})
    return run


def end(lake: Path, run: str, exit_code: int) -> None:
    """Record the end of a job."""
    _append(lake, {"run": run, "exit_code": exit_code})


def runs(lake: Path) -> list[Run]:
    """All runs, in the order of their starts."""
    by_name: dict[str, Run] = {}
    for line in _lines(lake):
        if "processor" in line:
            by_name[line["run"]] = Run(
                run=line["run"],
                processor=line["processor"],
                dates=tuple(date.fromisoformat(day) for day in line["dates"]),
                pid=line["pid"],
                attempt=line["attempt"],
                started=line["at"],
            )
        else:
            run = by_name[line["run"]]
            by_name[run.run] = replace(run, ended=line["at"], exit_code=line["exit_code"])
    return list(by_name.values())


def overlapping(executions: Iterable[Run]) -> list[tuple[Run, Run]]:
    """The pairs of runs that overlap. A run without an end has no duration."""
    ordered = sorted(executions, key=lambda run: run.started)
    return [
        (first, second)
        for first, second in combinations(ordered, 2)
        if second.started < (first.ended or first.started)
    ]


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
