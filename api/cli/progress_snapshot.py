"""One snapshot of the daemon's progress, and the failures that are new since the previous one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from backfilld.api.cli.client import Client, Json
from backfilld.api.formatting import attempt_dates, format_attempt_result
from backfilld.state.records import AttemptStatus, attempt_result
from backfilld.state.rules.verdict import Verdict

ENDED = ("finished", "cancelled", "stopped", "stuck", "paused")
"""The statuses in which a backfill no longer continues by itself."""
_RECENT = 100
"""How many of the latest failed attempts are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchScope:
    """What is followed: a backfill, a season, or everything."""

    backfill: int | None = None
    season: str | None = None

    @property
    def query(self) -> Json:
        """The same as parameters of the API."""
        return {"backfill": self.backfill, "season": self.season}


ALL_DATES = WatchScope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The progress at one moment of what is followed, with the backfill if it is one."""

    at: dt.datetime
    progress: Json
    activity: Json
    backfill: Json | None = None
    season: str | None = None

    @property
    def document(self) -> Json:
        """All of it as JSON."""
        season = {"season": self.season} if self.season else {}
        return {"progress": self.progress, "activity": self.activity, "backfill": self.backfill, **season}

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself: to the backfill, or to any date."""
        if self.backfill is not None:
            return self.backfill["status"] in ENDED
        return not self.progress["dates"]["live"] or self.activity["stuck"]

    @property
    def succeeded(self) -> bool:
        """Whether it ended without a failed date: the backfill, or everything."""
        if self.backfill is not None:
            return self.backfill["status"] == "finished" and not self.backfill["states"].get("failed")
        dates = self.progress["dates"]
        return not dates["live"] and not dates["failed"]


def take_snapshot(client: Client, scope: WatchScope = ALL_DATES) -> Snapshot:
    """Read the progress from the daemon, for the dates of a scope alone.

    Raises:
        ApiError: the daemon refused or did not answer.
    """
    number = scope.backfill
    backfill = client.get(f"/v1/backfills/{number}") if number is not None else None
    return Snapshot(
        at=dt.datetime.now(dt.UTC),
        progress=client.get("/v1/progress", **scope.query),
        activity=client.get("/v1/activity", **scope.query),
        backfill=backfill,
        season=scope.season,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A failed attempt or date: its subject, result and reason, and the command that shows more."""

    subject: str
    result: str
    reason: str
    command: str
    document: Json
    """The attempt, or the date, as the API gives it."""
    symbol: str = "✗"
    """The sign in front of it: that of the verdict where the job itself exited with 0."""


class FailureTracker:
    """Yields each failure of a scope once. Failures from before its creation are not yielded."""

    def __init__(self, client: Client, scope: WatchScope = ALL_DATES) -> None:
        self.scope = scope
        """Can be changed: a backfill has no number before it is requested."""
        self._client = client
        self._dates: set[str] = set()
        self._attempts: set[int] = set()
        self._failed_dates = -1
        self._seen: object = None
        """The running attempts, and when something last ended, as of the last look at attempts."""
        list(self.new_failures(client.get("/v1/progress", **scope.query)))

    def failed_dates(self) -> Iterator[Failure]:
        """The dates that are failed now."""
        for row in self._client.all("/v1/dates", state="failed", **self.scope.query):
            yield date_failure(row)

    def new_failures(self, progress: Json, *, last: bool = False) -> Iterator[Failure]:
        """What failed since the previous call: attempts, then dates. A date that fails again is new again.

        Attempts are read where some began or ended, as far as `progress` shows, and at the `last` call.
        """
        seen = [job["id"] for job in progress["running"]], progress["last_progress_at"]
        if last or seen != self._seen:
            yield from self._new_attempts()
            self._seen = seen
        if last or progress["dates"]["failed"] != self._failed_dates:
            yield from self._new_dates()
            self._failed_dates = progress["dates"]["failed"]

    def _new_attempts(self) -> Iterator[Failure]:
        failed = self._client.get("/v1/attempts", failed="true", limit=_RECENT, **self.scope.query)["items"]
        new = [attempt for attempt in reversed(failed) if attempt["id"] not in self._attempts]
        self._attempts.update(attempt["id"] for attempt in new)
        yield from map(attempt_failure, new)

    def _new_dates(self) -> Iterator[Failure]:
        failed = list(self.failed_dates())
        new = [failure for failure in failed if failure.subject not in self._dates]
        self._dates = {failure.subject for failure in failed}
        yield from new


def attempt_failure(attempt: Json) -> Failure:
    """A failed attempt: its exit code or why it has none, and the line of its log that is shown.

    A job that exited with 0 is shown with the verdict that followed instead: `exit 0 · 2 of 14 rows`.
    """
    code = attempt["exit_code"]
    verdict = attempt["verdict"]
    if code == 0 and verdict is not None:
        return Failure(
            subject=f"{attempt_dates(attempt)} {attempt['processor']}",
            result=format_attempt_result(attempt["status"], code, verdict, attempt["verdict_reason"]),
            reason=attempt["detail"],
            command=f"backfilld logs {attempt['id']}",
            document={"attempt": attempt},
            symbol=Verdict(verdict).symbol,
        )
    # The result says `exited 1` already; of a killed job it has no code.
    exited = "" if attempt["status"] == AttemptStatus.EXITED else f"exit {code}"
    ended = attempt["detail"] if code is None else exited
    reason = ": ".join(filter(None, (ended, attempt["last_line"])))
    left = attempt["detail"] if code is not None else ""
    return Failure(
        subject=f"{attempt_dates(attempt)} {attempt['processor']}",
        result=attempt_result(attempt["status"], code),
        reason="; ".join(filter(None, (reason, left))),
        command=f"backfilld logs {attempt['id']}",
        document={"attempt": attempt},
    )


def date_failure(date: Json) -> Failure:
    """A failed date."""
    return Failure(
        subject=date["date"],
        result=date["outcome"] or "failed",
        reason=date["reason"] or "",
        command=f"backfilld status {date['date']}",
        document={"date": date},
    )
