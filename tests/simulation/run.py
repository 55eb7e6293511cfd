"""Many worlds, one after another; what they came to, and the story of the first that fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.simulation import generators
from tests.simulation.crashing_database import CrashingDatabase
from tests.simulation.quiescence_invariants import Violation
from tests.simulation.report import describe_scenario, report
from tests.simulation.scenario import Scenario
from tests.simulation.shrink import shrink
from tests.simulation.simulation import Simulation


@dataclass
class Summary:
    """What many worlds came to."""

    worlds: int = 0
    steps: int = 0
    jobs: int = 0
    faults: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    """The invariant that broke, by seed."""

    def add(self, sim: Simulation) -> None:
        """Count a world that was lived through."""
        self.worlds += 1
        self.steps += sim.invariants.steps
        self.jobs += len(sim.executor.launched)
        self.faults += len(sim.scenario.job_faults) + len(sim.scenario.external_events)
        self.kills += sim.kills

    def merge(self, other: Summary) -> None:
        """Add what other worlds came to."""
        self.worlds += other.worlds
        self.steps += other.steps
        self.jobs += other.jobs
        self.faults += other.faults
        self.kills += other.kills
        self.failures |= other.failures

    def __str__(self) -> str:
        return (
            f"{self.worlds} worlds, {self.steps} steps looked at, {self.jobs} jobs, {self.faults} requests,"
            f" faults and bad jobs, {self.kills.total()} kills at {len(self.kills)} points,"
            f" {len(self.failures)} failures"
        )


class Simulator:
    """Lives through worlds, all in one database that is emptied in between."""

    def __init__(self, generate: Callable[[int], Scenario] = generators.generate) -> None:
        """`generate` draws the world of a seed."""
        self._db = CrashingDatabase()
        self._generate = generate

    def simulate(self, scenario: Scenario) -> tuple[Simulation, Exception | None]:
        """Live through a world; the error that ended it, if any did."""
        sim = Simulation(scenario, self._db)
        try:
            sim.run()
        except Exception as error:  # noqa: BLE001 - whatever is raised is a find
            return sim, error
        return sim, None

    def run(
        self, seeds: Iterable[int], progress: Callable[[Summary], None] = lambda summary: None
    ) -> Summary:
        """Live through the worlds of some seeds."""
        summary = Summary()
        for seed in seeds:
            sim, error = self.simulate(self._generate(seed))
            summary.add(sim)
            if error is not None:
                summary.failures[seed] = f"{type(error).__name__}: {error}"
            progress(summary)
        return summary

    def explain(self, seed: int, *, seconds: float = 60.0) -> str:
        """Why a world fails: the smallest that does, as a story."""
        _, error = self.simulate(self._generate(seed))
        if error is None:
            return f"seed {seed} does not fail"
        kind = _kind(error)
        small = shrink(
            self._generate(seed), lambda one: _kind(self.simulate(one)[1]) == kind, seconds=seconds
        )
        sim, error = self.simulate(small)
        return "\n".join([f"seed {seed}: {error}", *describe_scenario(small), *report(sim)])


def _kind(error: Exception | None) -> str:
    """What a smaller world must have in common."""
    return error.rule if isinstance(error, Violation) else type(error).__name__
