"""The platform with good jobs, and a warehouse that tests of preflight spoil."""

import datetime as dt
from typing import Any

from backfilld.daemon.preflight.checklist import Preflight, preflight
from tests.checkout import END, START, Checkout, Tables
from tests.factories import NOW
from tests.fake_warehouse import FakeWarehouse

GAMES = {START + dt.timedelta(days=n): 8 for n in range(10)}


class Ground:
    """The platform's pipeline with good jobs, and a warehouse that tests spoil."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self.tables = Tables(checkout.pipeline)
        self.facts = FakeWarehouse(checkout.pipeline, calendar=GAMES)
        self.facts.fill(checkout.pipeline.processors, GAMES)

    def ask(self, **options: Any) -> Preflight:
        given = {"start": START, "end": END, "quick": True, **options}
        return preflight(self.checkout.path, now=NOW, opened=(self.facts, self.tables), **given)

    def edit(self, old: str, new: str) -> None:
        """Change the pipeline file."""
        text = self.checkout.path.read_text()
        assert old in text
        self.checkout.path.write_text(text.replace(old, new))


def troubles(told: Preflight, check: str) -> list[tuple[str, str]]:
    findings = next(one for one in told.results if one.check == check).findings
    return [(f.status.value, f.line) for f in findings if f.status.value in ("warn", "fail")]


def statuses(told: Preflight) -> dict[str, str]:
    return {one.check: one.status.value for one in told.results}
