"""Many worlds, one after another; what they came to, and the story of the first that fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.simulation.crashing_database import MortalDatabase
from tests.simulation.generators import generate
from tests.simulation.quiescence_invariants import Broken
from tests.simulation.report import setting, story
from tests.simulation.scenario import Scenario
from tests.simulation.shrink import shrink
from tests.simulation.simulation import Life


@dataclass
class Tally:
    """What many worlds came to."""

    worlds: int = 0
    steps: int = 0
    jobs: int = 0
    faults: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    failures: dict[int, str] = field(default_factory=dict)
    """The invariant that broke, by seed."""

    def add(self, life: Life) -> None:
        """Count a world that was lived through."""
        self.worlds += 1
        self.steps += life.witness.steps
        self.jobs += len(life.executor.launched)
        self.faults += len(life.scenario.mishaps) + len(life.scenario.happenings)
        self.kills += life.kills

    def merge(self, other: Tally) -> None:
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

    def __init__(self) -> None:
        self._db = MortalDatabase()

    def live(self, scenario: Scenario) -> tuple[Life, Exception | None]:
        """Live through a world; the error that ended it, if any did."""
        life = Life(scenario, self._db)
        try:
            life.run()
        except Exception as error:  # noqa: BLE001 - whatever is raised is a find
            return life, error
        return life, None

    def run(self, seeds: Iterable[int], progress: Callable[[Tally], None] = lambda tally: None) -> Tally:
        """Live through the worlds of some seeds."""
        tally = Tally()
        for seed in seeds:
            life, error = self.live(generate(seed))
            tally.add(life)
            if error is not None:
                tally.failures[seed] = f"{type(error).__name__}: {error}"
            progress(tally)
        return tally

    def explain(self, seed: int, *, seconds: float = 60.0) -> str:
        """Why a world fails: the smallest that does, as a story."""
        _, error = self.live(generate(seed))
        if error is None:
            return f"seed {seed} does not fail"
        kind = _kind(error)
        small = shrink(generate(seed), lambda one: _kind(self.live(one)[1]) == kind, seconds=seconds)
        life, error = self.live(small)
        return "\n".join([f"seed {seed}: {error}", *setting(small), *story(life)])


def _kind(error: Exception | None) -> str:
    """What a smaller world must have in common."""
    return error.rule if isinstance(error, Broken) else type(error).__name__
