"""A limit on the bytes that the warehouse bills per quota day."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable

from backfilld.daemon.warehouses.adapter import Ledger, WarehouseError
from backfilld.state.rules.quota_day import next_midnight, quota_day


class InMemoryLedger:
    """A ledger in memory, for commands that end: each begins with nothing spent."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._billed: Counter[dt.date] = Counter()

    def read(self, day: dt.date) -> tuple[int, int]:
        """Bytes billed on a day, and 0: no operator allows more here."""
        with self._lock:
            return self._billed[day], 0

    def add(self, day: dt.date, billed: int) -> None:
        """Add the bytes that a query was billed."""
        with self._lock:
            self._billed[day] += billed


class DailyBudget:
    """Bytes billed on a quota day against `limit` (None: no limit). Safe to call from threads."""

    def __init__(self, limit: int | None, ledger: Ledger, now: Callable[[], float], zone: str) -> None:
        self._limit = limit
        self._ledger = ledger
        self._now = now
        self._zone = zone

    def check(self) -> None:
        """Let a query pass while some of the budget is left.

        Raises:
            WarehouseError: nothing is left before the quota day ends.
        """
        if self._limit is None:
            return
        now = self._now()
        spent, extra = self._ledger.read(quota_day(now, self._zone))
        if spent >= self._limit + extra:
            allowed = f"{self._limit} bytes" + (f" and the {extra} allowed beyond them" if extra else "")
            raise WarehouseError(
                f"warehouse.daily_bytes is spent: {spent} of {allowed} were billed this quota day,"
                f" which ends at midnight in {self._zone}",
                retry_at=next_midnight(now, self._zone),
            )

    def spend(self, billed: int) -> None:
        """Add the bytes that a query was billed."""
        if self._limit is not None and billed:
            self._ledger.add(quota_day(self._now(), self._zone), billed)
