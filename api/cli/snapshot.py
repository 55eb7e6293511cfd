"""What the verbs that follow look at: one view of everything, and what has failed since the last look."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from backfilld.api.cli.arguments import covered
from backfilld.api.cli.client import Client, Json
from backfilld.state.records import attempt_result

ENDED = ("finished", "cancelled", "stopped")
"""The statuses in which a backfill goes on no more by itself."""
_RECENT = 100
"""How many of the latest failed attempts are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """How everything stood at one moment, and one backfill where one is followed."""

    at: dt.datetime
    progress: Json
    activity: Json
    backfill: Json | None = None

    @property
    def told(self) -> Json:
        """All of it, as JSON."""
        return {"progress": self.progress, "activity": self.activity, "backfill": self.backfill}

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself: of the backfill, or of everything."""
        if self.backfill is not None:
            return self.backfill["status"] in ENDED
        return not self.progress["dates"]["live"]

    @property
    def good(self) -> bool:
        """Whether it came to a good end: of the backfill, or of everything."""
        if self.backfill is not None:
            return self.backfill["status"] == "finished" and not self.backfill["states"].get("failed")
        return self.ended and not self.progress["dates"]["failed"]


def take_snapshot(client: Client, backfill: int | None = None) -> Snapshot:
    """Ask the daemon how it stands.

    Raises:
        ApiError: it was refused or not answered.
    """
    return Snapshot(
        at=dt.datetime.now(dt.UTC),
        progress=client.get("/v1/progress"),
        activity=client.get("/v1/activity"),
        backfill=client.get(f"/v1/backfills/{backfill}") if backfill is not None else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Something that failed: what, how, why, and the command that looks at it."""

    what: str
    how: str
    reason: str
    command: str


class Failures:
    """Tells each failure once: what had failed before it was made is no news."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._dates: set[str] = set()
        self._attempts: set[int] = set()
        self._failed = -1
        self._running: list[int] = [-1]
        list(self.fresh(client.get("/v1/progress")))

    def fresh(self, progress: Json) -> Iterator[Failure]:
        """What has failed since the last call: attempts, then dates; what fails again is news again."""
        running = [one["id"] for one in progress["running"]]
        if running != self._running:
            yield from self._fresh_attempts()
            self._running = running
        if progress["dates"]["failed"] != self._failed:
            yield from self._fresh_dates()
            self._failed = progress["dates"]["failed"]

    def _fresh_attempts(self) -> Iterator[Failure]:
        ended = self._client.get("/v1/attempts", failed="true", limit=_RECENT)["items"]
        fresh = [one for one in reversed(ended) if one["id"] not in self._attempts]
        self._attempts.update(one["id"] for one in fresh)
        yield from map(attempt_failure, fresh)

    def _fresh_dates(self) -> Iterator[Failure]:
        failed = {one["date"]: one for one in self._client.all("/v1/dates", state="failed")}
        fresh = [one for date, one in failed.items() if date not in self._dates]
        self._dates = set(failed)
        yield from map(date_failure, fresh)


def attempt_failure(attempt: Json) -> Failure:
    """A bad end of a job: its exit code or what kept it from having one, and its last line."""
    code = attempt["exit_code"]
    last = attempt["tail"].strip().splitlines()[-1:]
    words = [f"exit {code}" if code is not None else "", attempt["detail"], *last]
    return Failure(
        what=f"{covered(attempt)} {attempt['processor']}",
        how=attempt_result(attempt["status"], attempt["exit_code"]),
        reason=": ".join(word for word in words if word),
        command=f"backfilld logs {attempt['id']}",
    )


def date_failure(date: Json) -> Failure:
    """A date that failed."""
    return Failure(
        what=date["date"],
        how=date["outcome"] or "failed",
        reason=date["reason"] or "",
        command=f"backfilld status {date['date']}",
    )
