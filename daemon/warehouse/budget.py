"""A limit on the bytes billed per day, in memory: a restart begins the day anew."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from zoneinfo import ZoneInfo

from daemon.warehouse import WarehouseError


class DailyBudget:
    """Bytes billed since midnight UTC, against `limit` (None: no limit). Safe to call from threads."""

    def __init__(self, limit: int | None, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self._lock = threading.Lock()
        self._ends = 0.0
        self._spent = 0

    def check(self) -> None:
        """Let a query pass while there is something left.

        Raises:
            WarehouseError: nothing is left before the next midnight UTC.
        """
        with self._lock:
            self._roll()
            if self._limit is not None and self._spent >= self._limit:
                raise WarehouseError(
                    f"warehouse.daily_bytes is spent: {self._spent} of {self._limit} bytes were billed today",
                    retry_at=self._ends,
                )

    def spend(self, billed: int) -> None:
        """Count what a query was billed."""
        with self._lock:
            self._roll()
            self._spent += billed

    def _roll(self) -> None:
        if self._now() >= self._ends:
            self._spent, self._ends = 0, next_midnight(self._now(), "UTC")


def next_midnight(now: float, zone: str) -> float:
    """Epoch seconds of the first midnight after `now` in a time zone."""
    where = ZoneInfo(zone)
    tomorrow = dt.datetime.fromtimestamp(now, where).date() + dt.timedelta(days=1)
    return dt.datetime.combine(tomorrow, dt.time(), tzinfo=where).timestamp()
