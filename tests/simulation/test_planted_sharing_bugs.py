"""Bugs of dates that several backfills want, each found by an invariant in the world of a pinned seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from backfilld.daemon.engine import enqueue_store, operator_commands
from backfilld.state.records import AttemptStatus
from backfilld.state.rules.overlapping_backfills import Ownership
from backfilld.state.store import attempts, transitions
from backfilld.state.store.schema import backfill_dates, dates
from tests.simulation.generators import generate
from tests.simulation.quiescence_invariants import Violation
from tests.simulation.run import Simulator

Plant = Callable[[pytest.MonkeyPatch], None]


def stop_what_others_want(monkeypatch: pytest.MonkeyPatch) -> None:
    def cancel_unwanted(tx: Any) -> None:
        attempts.mark_stopping(tx, [row.id for row in attempts.running(tx)], AttemptStatus.CANCELLED)

    monkeypatch.setattr(operator_commands, "cancel_unwanted", cancel_unwanted)


def tell_only_the_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(tx: Any, ended: Any) -> None:
        for date, state, outcome, version in ended:
            lead = sa.select(dates.c.backfill_id).where(dates.c.date == date).scalar_subquery()
            here = (backfill_dates.c.date == date, backfill_dates.c.backfill_id == lead)
            columns = {"live": 0, "awaits_admission": 0, "ended_version": version}
            tx.execute(sa.update(backfill_dates).where(*here).values(**columns, state=state, outcome=outcome))

    monkeypatch.setattr(transitions.backfill_dates, "end", end)


def keep_the_first_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enqueue_store.backfill_dates, "join", lambda *_: None)


def run_unselected_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ownership, "selected", None)


FOUND = [
    (stop_what_others_want, 132, "what a cancel leaves wanted goes on"),
    (tell_only_the_lead, 1, "every owner gets the outcome"),
    (keep_the_first_priority, 7, "the highest priority wins"),
    (run_unselected_processors, 8, "only selected jobs run"),
]
"""Each bug with the seed of a world that shows it, and the rule that it breaks there."""


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator()


@pytest.mark.parametrize(("plant", "seed", "rule"), FOUND)
def test_a_bug_of_shared_dates_is_found(simulator, monkeypatch, plant, seed, rule):
    # Given a world in which no invariant breaks
    scenario = generate(seed)
    assert simulator.simulate(scenario)[1] is None
    # When the engine has a bug, then one does
    plant(monkeypatch)
    _, error = simulator.simulate(scenario)
    assert isinstance(error, Violation)
    assert error.rule == rule, error
