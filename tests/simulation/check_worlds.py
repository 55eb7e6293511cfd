"""Worlds in which some processors have a check command: it rejects some writes, and at times does not end.

Everything else is drawn as in a harder world of the same seed.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.factories import Table
from tests.simulation import harder
from tests.simulation.scenario import Scenario

COMMAND = ["dbt", "test", "{date}"]


def generate(seed: int) -> Scenario:
    """The world of a seed."""
    base = harder.generate(seed)
    rng = random.Random(f"checks {seed}")
    chosen = {name for file in base.files for name in file.names if rng.random() < 0.4}
    changed = rng.random() < 0.3

    def with_check(version: int, processor: Table) -> Table:
        if processor["name"] not in chosen:
            return processor
        command = [*COMMAND, str(version)] if changed else COMMAND
        return {**processor, "expect": {**processor.get("expect", {}), "check": {"command": command}}}

    files = [
        file.with_processors(lambda processor, version=version: with_check(version, processor))
        for version, file in enumerate(base.files)
    ]
    return replace(base, files=tuple(files))
