"""Bytes per day, and when a day ends."""

import datetime as dt

import pytest

from backfilld.daemon.warehouses.adapter import WarehouseError
from backfilld.daemon.warehouses.billing_budget import DailyBudget, InMemoryLedger
from backfilld.state.rules.quota_day import next_midnight, quota_day


def at(text: str) -> float:
    """Epoch seconds of a time in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "zone", "midnight"),
    [
        ("2025-12-01T12:00", "UTC", "2025-12-02T00:00"),
        ("2025-12-01T00:00", "UTC", "2025-12-02T00:00"),
        ("2025-12-01T07:59", "America/Los_Angeles", "2025-12-01T08:00"),
        ("2025-12-01T08:00", "America/Los_Angeles", "2025-12-02T08:00"),
        ("2026-03-08T12:00", "America/Los_Angeles", "2026-03-09T07:00"),  # clocks went forward that night
        ("2026-11-01T12:00", "America/Los_Angeles", "2026-11-02T08:00"),  # and back
    ],
)
def test_midnight_is_the_zones_own(now: str, zone: str, midnight: str) -> None:
    assert next_midnight(at(now), zone) == at(midnight)


def test_a_quota_day_begins_at_midnight_of_its_zone() -> None:
    assert quota_day(at("2025-12-01T07:59"), "America/Los_Angeles") == dt.date(2025, 11, 30)
    assert quota_day(at("2025-12-01T08:00"), "America/Los_Angeles") == dt.date(2025, 12, 1)


def test_a_budget_is_for_a_day() -> None:
    # Given
    clock = [at("2025-12-01T23:00")]
    budget = DailyBudget(100, InMemoryLedger(), lambda: clock[0], "America/Los_Angeles")

    # When
    budget.spend(99)
    budget.check()
    budget.spend(1)
    with pytest.raises(WarehouseError, match="100 of 100 bytes") as raised:
        budget.check()

    # Then
    assert raised.value.retry_at == at("2025-12-02T08:00")
    clock[0] = at("2025-12-02T08:00")
    budget.check()


def test_without_a_limit_nothing_is_ever_spent() -> None:
    budget = DailyBudget(None, InMemoryLedger(), lambda: 0.0, "UTC")
    budget.spend(1 << 60)
    budget.check()
