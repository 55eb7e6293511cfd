"""Which worlds a run of the tests simulates: others for each commit, the same for each run of it."""

from __future__ import annotations

import functools
import os
import subprocess
from pathlib import Path

WORLDS = int(os.environ.get("TEST_WORLDS", "30"))
"""How many: 30 take about 10 seconds of CPU time. `make simulate SEEDS=100000` runs more."""
_HEX_DIGITS = 7


@functools.cache
def first_seed() -> int:
    """A seed below 2**28 that depends on the commit; 0 without a git checkout."""
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(commit[:_HEX_DIGITS], 16)


def described() -> str:
    """The range of seeds, for the header of a test run."""
    first = first_seed()
    return f"simulated worlds: seeds {first} to {first + WORLDS - 1}, from the commit"
