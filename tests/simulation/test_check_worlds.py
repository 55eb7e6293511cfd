"""Worlds with check commands: no invariant breaks there, and planted bugs about them are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backfilld.daemon.engine import check_command_runs
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules import check_command_run_freshness
from tests.simulation import check_worlds
from tests.simulation.quiescence_invariants import Violation
from tests.simulation.run import Simulator

SEEDS = (13, 85, 171)
"""Worlds in which checks reject outputs, time out and die with the daemon, beside much else."""


def pass_without_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge_context(self: Pipeline, processor: Any, **facts: Any) -> Any:
        return original(self, processor, **facts, runs_checks=False)

    original = Pipeline.judge_context
    monkeypatch.setattr(Pipeline, "judge_context", judge_context)
    monkeypatch.setattr(check_command_runs, "request", lambda *_: None)


def trust_results_about_another_output(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (check_command_runs, check_command_run_freshness):
        monkeypatch.setattr(module, "subject_of", lambda pipeline, check, evidence: "any")


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(check_worlds.generate)


def test_no_invariant_breaks_in_worlds_with_check_commands(simulator: Simulator) -> None:
    summary = simulator.run(SEEDS)
    assert not summary.failures, simulator.explain(min(summary.failures))


@pytest.mark.parametrize(
    ("plant", "seed", "rule"),
    [
        (pass_without_a_check, 18, "an error is never an answer"),
        (trust_results_about_another_output, 19, "an error is never an answer"),
        (trust_results_about_another_output, 18, "satisfied work is never run again"),
    ],
)
def test_a_bug_about_check_commands_is_found(
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    plant: Callable[[pytest.MonkeyPatch], None],
    seed: int,
    rule: str,
) -> None:
    plant(monkeypatch)
    _, error = simulator.simulate(check_worlds.generate(seed))
    assert isinstance(error, Violation)
    assert error.rule == rule, error
