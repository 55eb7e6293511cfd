"""Switches for the misbehaviour of the real platform, per processor and date.

The switches are in `<lake>/misbehaviour.json`; without that file all jobs behave well. A switch with `times`
counts its affected runs in a small file, so that a later run of the same processor and date recovers.

    python -m backfilld.demo.misbehaviour_switches LAKE PROCESSOR DATE KIND [--times N]  (DATE may be "every")
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TypedDict

from backfilld.demo.processor_definitions import PROCESSORS

KINDS = {
    "nothing": "exits 0 with nothing written, history says success with 0 records",
    "partial": "writes 2 rows of a team table, an eighth of any other",
    "duplicates": "writes every row twice",
    "degraded": "writes the right number of rows, of poor quality",
    "unchanged": "exits 0 and leaves the old rows as they are, history says success",
    "unclosed": "writes all rows, its history row stays 'running'",
    "no_history": "writes all rows and no history row at all",
    "crash": "writes all rows, then dies by SIGKILL with its history open",
    "exit1": "writes all rows, history says failed, exits 1",
    "fail": "writes nothing, history says failed, exits 1",
    "fail_quietly": "writes nothing, history says failed, exits 0",
    "hang": "hangs without output, with a child process and an open history, until it is killed",
    "hang_hard": "as hang, and both ignore SIGTERM",
}
WELL = "well"
"""Removes a switch."""

FILE = "misbehaviour.json"
COUNTS = "_misbehaved"


class Switch(TypedDict):
    """One entry of the file; `date` null means every date, `times` null every run."""

    processor: str
    date: str | None
    kind: str
    times: int | None


def switch(lake: Path, processor: str, day: date | None, kind: str, times: int | None = None) -> None:
    """Make a processor misbehave on a date (None: every date), or `well` again; its count restarts.

    Raises ValueError for an unknown processor or kind, and for `degraded` if rows have no quality columns.
    """
    _check(processor, kind, times)
    name = day.isoformat() if day else None
    kept = [entry for entry in _switches(lake) if (entry["processor"], entry["date"]) != (processor, name)]
    if kind != WELL:
        kept.append({"processor": processor, "date": name, "kind": kind, "times": times})
    for count in (lake / COUNTS).glob(_count_name(processor, name or "*", every_date=day is None)):
        count.unlink()
    temporary = lake / f".{FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(kept, indent=1) + "\n")
    temporary.rename(lake / FILE)


def next_kind(lake: Path, processor: str, day: date) -> str | None:
    """The misbehaviour of the next run, or None; counts it. A switch for the date comes first."""
    wanted = (day.isoformat(), None)
    matching = [
        entry for entry in _switches(lake) if entry["processor"] == processor and entry["date"] in wanted
    ]
    for entry in sorted(matching, key=lambda entry: entry["date"] is None):
        if _applies(lake, entry, day):
            return entry["kind"]
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Set one switch from the command line."""
    kinds = "\n".join(f"  {kind:13} {meaning}" for kind, meaning in KINDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m backfilld.demo.misbehaviour_switches",
        description=f"Make a demo job misbehave as the real one did:\n{kinds}\n  well          behave again",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("lake", type=Path)
    parser.add_argument("processor", choices=PROCESSORS, metavar="processor")
    parser.add_argument("date", type=lambda text: None if text == "every" else date.fromisoformat(text))
    parser.add_argument("kind", choices=[*KINDS, WELL], metavar="kind")
    parser.add_argument("--times", type=int, help="only the first N runs of each date")
    options = parser.parse_args(arguments)
    try:
        switch(options.lake, options.processor, options.date, options.kind, options.times)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    return 0


def _check(processor: str, kind: str, times: int | None) -> None:
    if processor not in PROCESSORS:
        raise ValueError(f"no such processor: {processor}")
    if kind not in (*KINDS, WELL):
        raise ValueError(f"no such kind: {kind} (known: {', '.join(KINDS)})")
    if times is not None and times < 1:
        raise ValueError(f"times is at least 1, not {times}")
    if kind == "degraded" and not PROCESSORS[processor].has_quality:
        raise ValueError(f"rows of {processor} have no quality columns")


def _switches(lake: Path) -> list[Switch]:
    if not (lake / FILE).exists():
        return []
    switches: list[Switch] = json.loads((lake / FILE).read_text())
    return switches


def _applies(lake: Path, entry: Switch, day: date) -> bool:
    """Whether a switch affects the next run. The size of a file is its count."""
    if entry["times"] is None:
        return True
    name = _count_name(entry["processor"], day.isoformat(), every_date=entry["date"] is None)
    count = lake / COUNTS / name
    if count.exists() and count.stat().st_size >= entry["times"]:
        return False
    count.parent.mkdir(exist_ok=True)
    with count.open("a") as file:
        file.write("x")
    return True


def _count_name(processor: str, day: str, *, every_date: bool) -> str:
    return f"{processor}.{day}.every" if every_date else f"{processor}.{day}"


if __name__ == "__main__":
    sys.exit(main())
