"""What stands where, as lines for programs: `TIME KIND key=value ...`, without control characters."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from backfilld.api.cli.arguments import covered
from backfilld.api.cli.client import Json
from backfilld.api.cli.output import sanitize_line
from backfilld.api.cli.snapshot import Failure, Snapshot

_BARE = re.compile(r"[^\s\"=]+")
"""A value that needs no quotes."""


_NAMES = ("id", "name", "kind", "key")
"""What tells facts of one kind apart."""


class Fact(NamedTuple):
    """One fact: its kind and what is known of it."""

    kind: str
    values: Json

    @property
    def name(self) -> tuple[str, ...]:
        """Which fact it is, whatever is known of it."""
        return (self.kind, *(str(self.values.get(key)) for key in _NAMES))

    def line(self, at: dt.datetime) -> str:
        """The fact as it was at a moment, in UTC."""
        words = (f"{key}={_word(value)}" for key, value in self.values.items() if value is not None)
        return " ".join((f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}", self.kind, *words))


def summary(view: Snapshot) -> Iterator[Fact]:
    """How far everything is: the backfill, all dates, pace, phases and seasons."""
    progress = view.progress
    if view.backfill is not None:
        yield backfill(view.backfill)
    marks = {name: progress[name] for name in ("paused", "regressed", "stale")}
    yield Fact("dates", progress["dates"] | marks)
    rate = progress["rate_per_hour"]
    pace = {"rate_per_hour": rate if rate is None else round(rate, 1), "eta": progress["eta"]}
    yield Fact("pace", {**pace, "method": progress["eta_method"]})
    for phase in progress["phases"]:
        counts = {"name": phase["phase"], "satisfied": phase["satisfied"], "total": phase["total"]}
        yield Fact("phase", {**counts, "percent": int(100 * phase["ratio"])})
    for season in progress["seasons"]:
        counts = {name: season[name] for name in ("total", "done", "failed")}
        yield Fact("season", {"name": season["season"], **counts})


def held(view: Snapshot) -> Iterator[Fact]:
    """What may not start, and how to let it."""
    for hold in view.progress["holds"]:
        named = {name: hold[name] or None for name in ("kind", "key", "reason", "actor", "since", "until")}
        yield Fact("hold", {**named, "command": lifting(hold)})


def details(view: Snapshot) -> Iterator[Fact]:
    """Each processor, what runs, what waits, and budgets."""
    for phase in view.progress["phases"]:
        for one in phase["processors"]:
            counts = {"satisfied": one["satisfied"], "total": one["total"], **one["verdicts"]}
            yield Fact("processor", {"name": one["processor"], "phase": phase["phase"], **counts})
    for job in view.activity["running"]:
        named = {"attempt": job["id"], "processor": job["processor"], "dates": covered(job)}
        yield Fact("running", {**named, "since": job["started_at"], "line": job["last_line"] or None})
    yield from (Fact("waiting", wait) for wait in view.activity["waiting"])
    yield from (Fact("budget", budget) for budget in view.progress["budgets"])


def backfill(row: Json) -> Fact:
    """A backfill and how many of its dates are in which state."""
    names = ("id", "status", "start", "end", "stop_reason")
    return Fact("backfill", {name: row[name] for name in names} | row["states"])


def failed(failure: Failure) -> Fact:
    """Something that failed."""
    values = {"what": failure.what, "how": failure.how, "reason": failure.reason}
    return Fact("failure", {**values, "command": failure.command})


def lifting(hold: Json) -> str:
    """The command that ends a hold."""
    if hold["kind"] == "all":
        return "backfilld resume"
    return f"backfilld release {hold['kind']} {hold['key']}".rstrip()


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = sanitize_line(str(value))
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
